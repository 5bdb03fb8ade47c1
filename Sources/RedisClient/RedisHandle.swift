// One redisContext, used by one thread at a time; its calls block.
import CHiredis
import Glibc

final class RedisHandle {
    private let context: UnsafeMutablePointer<redisContext>
    private let timeout: Double

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
        timeout = configuration.timeout
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
    func send(_ commands: [[any RedisBindable]]) throws(RedisError) -> [RedisReply] {
        for command in commands { try append(command) }
        var replies: [RedisReply] = []
        for _ in commands { replies.append(try read()) }
        return replies
    }

    func append(_ command: [any RedisBindable]) throws(RedisError) {
        // All words in one buffer, with their lengths: a word may hold any byte, NUL too.
        var bytes: [CChar] = []
        var lengths: [Int] = []
        for word in command {
            let word = word.redisBytes
            lengths.append(word.count)
            bytes.append(contentsOf: word.lazy.map { CChar(bitPattern: $0) })
        }
        bytes.append(0)
        let status = bytes.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress!
            var words: [UnsafePointer<CChar>?] = []
            for length in lengths {
                words.append(start)
                start += length
            }
            return redisAppendCommandArgv(context, Int32(command.count), &words, lengths)
        }
        guard status == REDIS_OK else { throw failure() }
    }

    func read() throws(RedisError) -> RedisReply {
        var pointer: UnsafeMutableRawPointer?
        let status = Self.withoutSIGPIPE { redisGetReply(context, &pointer) }
        guard status == REDIS_OK, let pointer else { throw failure() }
        defer { freeReplyObject(pointer) }
        return RedisReply(pointer.assumingMemoryBound(to: redisReply.self))
    }

    /// Writes the commands that were appended.
    func flush() throws(RedisError) {
        var isDone: Int32 = 0
        while isDone == 0 {
            guard Self.withoutSIGPIPE({ redisBufferWrite(context, &isDone) }) == REDIS_OK else { throw failure() }
        }
    }

    /// Reads what has arrived, once the socket is readable.
    func readArrived() throws(RedisError) -> [RedisReply] {
        guard redisBufferRead(context) == REDIS_OK else { throw failure() }
        return try takeBuffered()
    }

    /// Replies that are here already, without a look at the socket.
    func takeBuffered() throws(RedisError) -> [RedisReply] {
        var replies: [RedisReply] = []
        while true {
            var pointer: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &pointer) == REDIS_OK else { throw failure() }
            guard let pointer else { return replies }
            replies.append(RedisReply(pointer.assumingMemoryBound(to: redisReply.self)))
            freeReplyObject(pointer)
        }
    }

    private func expectOK(_ command: [any RedisBindable]) throws(RedisError) {
        switch try send([command])[0] {
        case .status: return
        case .error(let message): throw RedisError(server: message)
        case let other: throw .unexpectedReply("\(other)")
        }
    }

    /// hiredis writes to sockets with `write`, which raises SIGPIPE when the server is gone; the signal's default would
    /// end the process.
    private static func withoutSIGPIPE(_ body: () -> Int32) -> Int32 {
        var blocked = sigset_t()
        var before = sigset_t()
        var pending = sigset_t()
        sigemptyset(&blocked)
        sigaddset(&blocked, SIGPIPE)
        sigpending(&pending)
        pthread_sigmask(SIG_BLOCK, &blocked, &before)
        defer {
            if sigismember(&pending, SIGPIPE) == 0 {
                var noTime = timespec()
                while sigtimedwait(&blocked, nil, &noTime) == -1 && errno == EINTR {}
            }
            pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        return body()
    }

    private func failure() -> RedisError {
        // hiredis hands the time-out of the socket through as it comes.
        if context.pointee.err == REDIS_ERR_IO, errno == EAGAIN { return .connection("no answer within \(timeout) s") }
        let text = withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .connection(text)
    }
}
