// jobctl against the servers of a fleet.
import Foundation
import JSON
import TestSupport

extension Fleet {
    /// Runs jobctl to its end; both of its streams.
    func jobctl(_ arguments: [String]) async throws -> Printed {
        let log = NSTemporaryDirectory() + "millrace-jobctl-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let status = try await TestProcess("jobctl", arguments, environment: environment, log: log).wait()
        let text = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        return Printed(status: status, lines: text.split(separator: "\n").map(String.init))
    }
}

struct Printed {
    let status: Int32
    let lines: [String]

    /// With --json each line is a document.
    var values: [JSONValue] { lines.compactMap { try? JSONValue(parsing: $0) } }
}
