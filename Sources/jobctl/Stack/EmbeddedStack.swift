// The embedded stack: a private PostgreSQL and a private Redis in the home folder, reachable on loopback with random
// passwords. PostgreSQL refuses to run as root, so under root both servers run as an unprivileged user.
import Foundation
import Glibc
import JobSettings

struct EmbeddedStack {
    let home: MillraceHome

    private var data: String { serverFolder + "/postgres" }
    private var redisFolder: String { serverFolder + "/redis" }
    private var passwordFile: String { serverFolder + "/password" }

    /// Starts what is not running yet; a second call changes nothing.
    func start(_ say: (String) -> Void) throws -> ServerAddresses {
        try FileManager.default.createDirectory(atPath: home.path, withIntermediateDirectories: true)
        try prepareServerFolder(say)
        let password = try password()
        var addresses = try ServerAddresses.embedded(home) ?? ServerAddresses(database: "", redis: "")
        if isPostgresRunning {
            say("PostgreSQL is running")
        } else {
            addresses.database = try startPostgres(password, port: try port(before: addresses.database), say)
        }
        if isRedisRunning(addresses.redis) {
            say("Redis is running")
        } else {
            addresses.redis = try startRedis(password, port: try port(before: addresses.redis), say)
        }
        try addresses.write(to: home)
        return addresses
    }

    /// Stops both servers; data stays.
    func stop(_ say: (String) -> Void) throws {
        let addresses = try ServerAddresses.embedded(home)
        if isPostgresRunning {
            try asServerUser(try postgres("pg_ctl"), ["-D", data, "-m", "fast", "-w", "stop"])
            say("PostgreSQL stopped")
        }
        if let redis = addresses?.redis, isRedisRunning(redis) {
            try redisCommand(redis, "shutdown")
            say("Redis stopped")
        }
    }

    // MARK: PostgreSQL

    private var isPostgresRunning: Bool {
        guard let program = try? postgres("pg_ctl") else { return false }
        return (try? asServerUser(program, ["-D", data, "status"])) != nil
    }

    private func startPostgres(_ password: String, port: UInt16, _ say: (String) -> Void) throws -> String {
        if !FileManager.default.fileExists(atPath: data + "/PG_VERSION") {
            say("PostgreSQL: creating a cluster in \(data)")
            try asServerUser(
                try postgres("initdb"),
                [
                    "-D", data, "-U", "millrace", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile",
                    passwordFile,
                ])
        }
        let options = "-p \(port) -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
        try asServerUser(
            try postgres("pg_ctl"),
            ["-D", data, "-l", serverFolder + "/postgres.log", "-w", "-t", "60", "-o", options, "start"])
        func psql(_ statement: String) throws -> String {
            // The password goes by the environment: arguments are visible to every user of the machine.
            try Shell.run(
                try postgres("psql"),
                ["-h", "127.0.0.1", "-p", "\(port)", "-U", "millrace", "-XtAc", statement, "postgres"],
                environment: ["PGPASSWORD": password])
        }
        if try !psql("SELECT 1 FROM pg_database WHERE datname = 'millrace'").contains("1") {
            _ = try psql("CREATE DATABASE millrace")
        }
        say("PostgreSQL started on 127.0.0.1:\(port)")
        return "postgresql://millrace:\(password)@127.0.0.1:\(port)/millrace"
    }

    /// A PostgreSQL program by its path: Debian keeps the server's programs outside PATH.
    private func postgres(_ program: String) throws -> String {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let folders = versions.compactMap(Int.init).sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + path where FileManager.default.isExecutableFile(atPath: "\(folder)/\(program)") {
            return "\(folder)/\(program)"
        }
        throw StackError.missingProgram(program, package: "postgresql")
    }

    // MARK: Redis

    private func isRedisRunning(_ address: String) -> Bool {
        guard !address.isEmpty else { return false }
        return (try? redisCommand(address, "ping"))?.contains("PONG") ?? false
    }

    @discardableResult
    private func redisCommand(_ address: String, _ command: String) throws -> String {
        guard let parts = URLComponents(string: address) else { throw SettingsError.brokenStackFile(home.stackFile) }
        return try Shell.run(
            "redis-cli", ["-h", parts.host ?? "127.0.0.1", "-p", "\(parts.port ?? 6379)", command],
            environment: ["REDISCLI_AUTH": parts.password ?? ""])
    }

    private func startRedis(_ password: String, port: UInt16, _ say: (String) -> Void) throws -> String {
        let settings = """
            bind 127.0.0.1
            port \(port)
            requirepass \(password)
            daemonize yes
            dir \(redisFolder)
            logfile \(redisFolder)/redis.log
            pidfile \(redisFolder)/redis.pid
            save ""
            """
        let file = redisFolder + "/redis.conf"
        try writePrivately(settings, to: file)
        do {
            try asServerUser("redis-server", [file])
        } catch let failure as CommandFailure where failure.status == 127 {
            throw StackError.missingProgram("redis-server", package: "redis-server")
        }
        let address = "redis://default:\(password)@127.0.0.1:\(port)/0"
        let deadline = Date().addingTimeInterval(30)
        while !isRedisRunning(address) {
            guard Date() < deadline else { throw StackError.noAnswer("Redis", log: redisFolder + "/redis.log") }
            usleep(50_000)
        }
        say("Redis started on 127.0.0.1:\(port)")
        return address
    }

    // MARK: Folders, user, ports

    /// The servers' folder is the home, or a folder under /var/tmp when the unprivileged user can't enter the home.
    private var serverFolder: String {
        guard let user = serverUser else { return home.path + "/servers" }
        if (try? Shell.run("runuser", ["-u", user, "--", "test", "-x", home.path])) != nil {
            return home.path + "/servers"
        }
        // FNV-1a: one folder per home, the same at every start.
        let hash = home.path.utf8.reduce(into: UInt64(14_695_981_039_346_656_037)) { hash, byte in
            hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211
        }
        return "/var/tmp/millrace-" + String(hash, radix: 16)
    }

    private func prepareServerFolder(_ say: (String) -> Void) throws {
        let folder = serverFolder
        if !folder.hasPrefix(home.path) {
            say("The user \(serverUser ?? "") can't enter \(home.path): the servers' data is in \(folder)")
        }
        for path in [folder, redisFolder] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        if let user = serverUser { try Shell.run("chown", [user, folder, redisFolder]) }
    }

    private func password() throws -> String {
        if let text = FileManager.default.contents(atPath: passwordFile) {
            return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        var generator = SystemRandomNumberGenerator()
        let password = (0..<4).map { _ in String(generator.next(), radix: 36) }.joined()
        try writePrivately(password + "\n", to: passwordFile)
        return password
    }

    /// A file with a secret in it: only the servers' user may read it.
    private func writePrivately(_ text: String, to file: String) throws {
        let isWritten = FileManager.default.createFile(
            atPath: file, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
        guard isWritten else { throw SettingsError.notWritable(file) }
        if let user = serverUser { try Shell.run("chown", [user, file]) }
    }

    /// The user that the servers run as when this program runs as root; nil otherwise.
    private var serverUser: String? {
        guard geteuid() == 0 else { return nil }
        return getpwnam("postgres") != nil ? "postgres" : "nobody"
    }

    @discardableResult
    private func asServerUser(_ program: String, _ arguments: [String]) throws -> String {
        guard let user = serverUser else { return try Shell.run(program, arguments) }
        return try Shell.run("runuser", ["-u", user, "--", program] + arguments)
    }

    /// That of the server before, so that those who know its address find the new one; a free one if it is taken.
    private func port(before address: String) throws -> UInt16 {
        let port = URLComponents(string: address)?.port.flatMap(UInt16.init)
        return try port.flatMap { try? freePort($0) } ?? freePort()
    }

    /// - Parameter wanted: 0 is any.
    private func freePort(_ wanted: UInt16 = 0) throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var reuses: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuses, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = wanted.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard descriptor >= 0, status == 0 else { throw StackError.noPort }
        return UInt16(bigEndian: address.sin_port)
    }
}

enum StackError: Error, CustomStringConvertible {
    case missingProgram(String, package: String)
    case noAnswer(String, log: String)
    case noPort

    var description: String {
        switch self {
        case .missingProgram(let program, let package):
            "\(program) is not installed: run scripts/bootstrap, or 'apt-get install \(package)'"
        case .noAnswer(let server, let log): "\(server) does not answer; its log is \(log)"
        case .noPort: "no free port on 127.0.0.1"
        }
    }
}
