// A batch file on its way into the queue: read twice, so that all its faults are told before anything is queued, and never
// held in memory.
import Foundation
import JSON
import JobModel
import OpenAIFormat

struct BatchInput {
    struct Fault {
        let line: Int
        let customID: String?
        let error: BatchLineError
    }

    /// Bytes of the lines that one statement inserts, but for the last of them.
    private static let partBytes = 8 << 20

    let path: String
    let model: String?
    let queue: String?
    let priority: Int?

    /// What a look at every line finds. Keeps the custom ids, to find doubles.
    func check() throws -> (good: Int, faults: [Fault]) {
        var seen: [String: Int] = [:]
        var faults: [Fault] = []
        try lines { number, line in
            switch line {
            case .failure(let error): faults.append(Fault(line: number, customID: nil, error: error))
            case .success(let line):
                if let first = seen[line.customID] {
                    let error = BatchLineError(.duplicate, "custom_id", "is that of line \(first), too")
                    faults.append(Fault(line: number, customID: line.customID, error: error))
                } else {
                    seen[line.customID] = number
                }
            }
        }
        return (seen.count, faults)
    }

    /// Gives the jobs of all lines but these, in parts of a bounded size; nil at the end.
    /// - Parameter count: how many there were when they were looked at. Another number fails: the file has changed meanwhile.
    func jobs(except faulty: Set<Int>, count: Int) throws -> () throws -> [NewJob]? {
        let handle = try open()
        let reader = Reader(handle)
        var total = 0
        return {
            var part: [NewJob] = []
            var bytes = 0
            while part.count < 1000, bytes < Self.partBytes, let line = try reader.next() {
                guard !faulty.contains(line.number) else { continue }
                part.append(job(try BatchLine(parsing: line.bytes, model: model)))
                bytes += line.bytes.count
            }
            total += part.count
            guard !part.isEmpty || total == count else {
                throw CommandError("\(path): has changed while it was read; nothing was queued")
            }
            return part.isEmpty ? nil : part
        }
    }

    private func job(_ line: BatchLine) -> NewJob {
        NewJob(
            kind: line.kind, model: line.model, input: line.input, queue: queue, priority: priority,
            metadata: ["custom_id": .string(line.customID), "url": .string(line.endpoint.rawValue)])
    }

    private func lines(_ take: (Int, Result<BatchLine, BatchLineError>) -> Void) throws {
        let reader = Reader(try open())
        while let line = try reader.next() {
            do throws(BatchLineError) {
                take(line.number, .success(try BatchLine(parsing: line.bytes, model: model)))
            } catch {
                take(line.number, .failure(error))
            }
        }
    }

    private func open() throws -> FileHandle {
        var isFolder: ObjCBool = false
        // It is read twice, which a pipe can't be.
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
            let handle = FileHandle(forReadingAtPath: path)
        else { throw CommandError("\(path): can't be read") }
        return handle
    }

    /// A reader that closures can share.
    private final class Reader {
        private var lines: LineReader
        init(_ handle: FileHandle) { lines = LineReader { try handle.read(upToCount: $0) } }
        func next() throws -> LineReader.Line? { try lines.next() }
    }
}

extension BatchInput.Fault {
    var text: String { "line \(line)\(customID.map { " (\($0))" } ?? ""): \(error)" }

    var json: JSONValue {
        [
            "line": .integer(Int64(line)), "custom_id": customID.map { .string($0) } ?? .null,
            "code": .string(error.code.rawValue), "field": .string(error.field), "message": .string(error.reason),
        ]
    }

    /// As a line of the error file.
    var answer: JSONValue {
        [
            "id": .string("batch_line_\(line)"), "custom_id": customID.map { .string($0) } ?? .null, "response": .null,
            "error": ["code": .string(error.code.rawValue), "message": .string("line \(line): \(error)")],
        ]
    }
}
