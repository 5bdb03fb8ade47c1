// Words of a command.

/// What can be a word of a command. Redis knows bytes only.
package protocol RedisBindable: Sendable {
    var redisBytes: [UInt8] { get }
}

extension String: RedisBindable { package var redisBytes: [UInt8] { Array(utf8) } }
extension Int: RedisBindable { package var redisBytes: [UInt8] { Array(String(self).utf8) } }
extension [UInt8]: RedisBindable { package var redisBytes: [UInt8] { self } }
