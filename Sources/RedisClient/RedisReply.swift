// An answer of Redis (RESP2).
import CHiredis

package enum RedisReply: Sendable, Equatable {
    case null
    case integer(Int64)
    case status(String)
    case string(String)
    case error(String)
    indirect case array([RedisReply])

    /// Text in a reply is read as UTF-8; bytes that are not become U+FFFD.
    init(_ reply: UnsafePointer<redisReply>) {
        func text() -> String {
            guard let bytes = reply.pointee.str else { return "" }
            return String(
                decoding: UnsafeRawBufferPointer(start: UnsafeRawPointer(bytes), count: reply.pointee.len),
                as: UTF8.self)
        }
        switch reply.pointee.type {
        case REDIS_REPLY_INTEGER: self = .integer(reply.pointee.integer)
        case REDIS_REPLY_STATUS: self = .status(text())
        case REDIS_REPLY_STRING: self = .string(text())
        case REDIS_REPLY_ERROR: self = .error(text())
        case REDIS_REPLY_ARRAY:
            self = .array((0..<reply.pointee.elements).map { RedisReply(reply.pointee.element[$0]!) })
        default: self = .null
        }
    }

    package var text: String? {
        switch self {
        case .string(let text), .status(let text): text
        default: nil
        }
    }
}
