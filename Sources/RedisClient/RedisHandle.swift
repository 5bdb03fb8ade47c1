// One redisContext, used by one thread at a time; its calls block.
import CHiredis
import Glibc

final class RedisHandle {
    private let context: UnsafeMutablePointer<redisContext>

    /// Connects, authenticates and selects the database.
    init(_ configuration: RedisConfiguration) throws(RedisError) {
        let limit = timeval(
            tv_sec: Int(configuration.timeout),
            tv_usec: Int(configuration.timeout.truncatingRemainder(dividingBy: 1) * 1e6))
        let opened =
            switch configuration.server {
            case .tcp(let host, let port): redisConnectWithTimeout(host, port, limit)
            case .unix(let path): redisConnectUnixWithTimeout(path, limit)
            }
        guard let opened else { throw .connection("no memory for a connection") }
        context = opened
        guard opened.pointee.err == 0 else { throw failure() }
        redisSetTimeout(opened, limit)
        // On a Unix socket it would be an error.
        if case .tcp = configuration.server { redisEnableKeepAlive(opened) }
        if let password = configuration.password {
            try expectOK(["AUTH"] + (configuration.user.map { [$0] } ?? []) + [password])
        }
        if configuration.database != 0 { try expectOK(["SELECT", String(configuration.database)]) }
    }

    deinit { redisFree(context) }

    var socket: Int32 { context.pointee.fd }

    /// Sends commands in one go and reads their answers. A server's error is an answer like another.
    func send(_ commands: [[String]]) throws(RedisError) -> [RedisReply] {
        for command in commands { try append(command) }
        var replies: [RedisReply] = []
        for _ in commands { replies.append(try read()) }
        return replies
    }

    func append(_ command: [String]) throws(RedisError) {
        let copies = command.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        var words = copies.map { $0.map { UnsafePointer($0) } }
        let status = command.map { $0.utf8.count }.withUnsafeBufferPointer { lengths in
            redisAppendCommandArgv(context, Int32(command.count), &words, lengths.baseAddress)
        }
        guard status == REDIS_OK else { throw failure() }
    }

    func read() throws(RedisError) -> RedisReply {
        var pointer: UnsafeMutableRawPointer?
        guard redisGetReply(context, &pointer) == REDIS_OK, let pointer else { throw failure() }
        defer { freeReplyObject(pointer) }
        return RedisReply(pointer.assumingMemoryBound(to: redisReply.self))
    }

    /// Reads what has arrived, without waiting.
    func readArrived() throws(RedisError) -> [RedisReply] {
        guard redisBufferRead(context) == REDIS_OK else { throw failure() }
        var replies: [RedisReply] = []
        while true {
            var pointer: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &pointer) == REDIS_OK else { throw failure() }
            guard let pointer else { return replies }
            replies.append(RedisReply(pointer.assumingMemoryBound(to: redisReply.self)))
            freeReplyObject(pointer)
        }
    }

    private func expectOK(_ command: [String]) throws(RedisError) {
        switch try send([command])[0] {
        case .status: return
        case .error(let message): throw .server(message)
        case let other: throw .unexpectedReply("\(other)")
        }
    }

    private func failure() -> RedisError {
        let text = withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .connection(text)
    }
}
