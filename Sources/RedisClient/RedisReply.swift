// An answer of Redis (RESP2).
import CHiredis

package enum RedisReply: Sendable, Equatable {
    case null
    case integer(Int64)
    case status(String)
    /// A value as it was stored, any bytes.
    case bytes([UInt8])
    case error(String)
    indirect case array([RedisReply])

    init(_ reply: UnsafePointer<redisReply>) {
        func bytes() -> UnsafeRawBufferPointer {
            guard let bytes = reply.pointee.str else { return UnsafeRawBufferPointer(start: nil, count: 0) }
            return UnsafeRawBufferPointer(start: UnsafeRawPointer(bytes), count: reply.pointee.len)
        }
        switch reply.pointee.type {
        case REDIS_REPLY_INTEGER: self = .integer(reply.pointee.integer)
        case REDIS_REPLY_STATUS: self = .status(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_STRING: self = .bytes(Array(bytes()))
        case REDIS_REPLY_ERROR: self = .error(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            self = .array((0..<reply.pointee.elements).map { RedisReply(reply.pointee.element[$0]!) })
        default: self = .null
        }
    }

    package static func string(_ text: String) -> RedisReply { .bytes(Array(text.utf8)) }

    /// nil for what is no text, bytes that are not UTF-8 among it.
    package var text: String? {
        switch self {
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        case .status(let text): text
        default: nil
        }
    }
}
