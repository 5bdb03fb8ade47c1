// Runs other programs: the servers of the embedded stack and pip. Foundation's Process waits until every descendant
// has closed a descriptor that it inherits, so it never returns from starting a daemon; posix_spawn does.
import Foundation
import Glibc

/// A program that could not be started or that failed; `output` holds both of its streams.
struct CommandFailure: Error, CustomStringConvertible {
    let command: String
    let status: Int32
    let output: String
    var description: String { "\(command) failed with status \(status):\n\(output)" }
}

enum Shell {
    /// Runs a program (searched in PATH) to its end and returns what it printed, both streams together.
    /// - Parameters:
    ///   - environment: variables beside those of this program.
    ///   - isShown: what it prints goes to standard error instead, as it comes: its progress is for people.
    /// - Throws: `CommandFailure` for a status other than zero; 127 when there is no such program.
    @discardableResult
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], isShown: Bool = false
    ) throws(CommandFailure) -> String {
        // A file, not a pipe: a daemon that the program leaves behind would keep a pipe open for ever.
        var template = Array("/tmp/millrace-XXXXXX".utf8CString)
        let log = mkstemp(&template)
        guard log >= 0 else { throw CommandFailure(command: program, status: -1, output: "/tmp can't be written") }
        unlink(template)
        defer { close(log) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, isShown ? 2 : log, 1)
        if !isShown { posix_spawn_file_actions_adddup2(&actions, log, 2) }
        keepDescriptors()

        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var process = pid_t()
        var status: Int32 = 127 << 8
        let isStarted = withCStrings([program] + arguments) { argv in
            withCStrings(variables) { envp in posix_spawnp(&process, program, &actions, nil, argv, envp) == 0 }
        }
        if isStarted { while waitpid(process, &status, 0) < 0, errno == EINTR {} }

        let handle = FileHandle(fileDescriptor: log, closeOnDealloc: false)
        try? handle.seek(toOffset: 0)
        let output = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
        guard status == 0 else {
            throw CommandFailure(command: program, status: status & 0x7F == 0 ? status >> 8 : status, output: output)
        }
        return output
    }

    /// A daemon that inherits somebody's pipe or lock would hold it for as long as it lives.
    private static func keepDescriptors() {
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap(Int32.init) where descriptor > 2 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }
}
