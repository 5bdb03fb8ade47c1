// A file that gets its name when it is whole.
import Glibc

/// Writes beside `path` until `finish`, which renames; given up without it, nothing is left.
final class FileWriter {
    private let path: String
    private let draft: String
    private let descriptor: Int32
    private var isFinished = false

    init(_ path: String) throws(ModelError) {
        self.path = path
        draft = "\(path).\(getpid()).partial"
        descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unwritable(path: draft, reason: systemReason()) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        if !isFinished { unlink(draft) }
    }

    func write(_ bytes: [UInt8]) throws(ModelError) {
        var start = 0
        while start < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + start, bytes.count - start)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw .unwritable(path: draft, reason: systemReason()) }
            start += written
        }
    }

    func finish() throws(ModelError) {
        guard fsync(descriptor) == 0 else { throw .unwritable(path: draft, reason: systemReason()) }
        guard rename(draft, path) == 0 else { throw .unwritable(path: path, reason: systemReason()) }
        isFinished = true
    }

    /// The whole file.
    static func write(_ bytes: [UInt8], to path: String) throws(ModelError) {
        let file = try FileWriter(path)
        try file.write(bytes)
        try file.finish()
    }
}
