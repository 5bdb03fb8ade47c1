// The files that a batch's answers go into: a line for each job as it ends, whole lines only, so that they may be read while
// the batch runs.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import OpenAIFormat

final class BatchOutput {
    private let output: FileHandle?
    private let errors: FileHandle?

    /// Empties both files; nil writes none.
    init(output: String?, errors: String?) throws {
        self.output = try output.map(Self.create)
        self.errors = try errors.map(Self.create)
    }

    /// Whether both are there and are one file, by whatever names.
    static func isSameFile(_ one: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev
            && first.st_ino == second.st_ino
    }

    private static func create(_ path: String) throws -> FileHandle {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func write(_ fault: BatchInput.Fault) throws { try write(fault.answer, to: errors) }

    func write(_ job: Job) throws {
        let id = job.metadata["custom_id"]?.stringValue ?? "job-\(job.id)"
        let endpoint = job.metadata["url"]?.stringValue.flatMap(BatchLine.Endpoint.init) ?? .chatCompletions
        let answer = BatchAnswer(job, customID: id, endpoint: endpoint, finished: Self.seconds(job.finishedAt))
        try write(answer.line, to: answer.isOutput ? output : errors)
    }

    private func write(_ line: JSONValue, to file: FileHandle?) throws {
        try file?.write(contentsOf: Data((line.text() + "\n").utf8))
    }

    /// Since 1970, of what PostgreSQL prints.
    private static func seconds(_ timestamp: String?) -> Int64 {
        guard let timestamp else { return 0 }
        let text = timestamp.prefix(19).replacing(" ", with: "T") + "Z"
        return (try? Date(text, strategy: .iso8601)).map { Int64($0.timeIntervalSince1970) } ?? 0
    }
}
