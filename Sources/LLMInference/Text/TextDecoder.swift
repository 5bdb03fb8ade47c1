// The seam between generated tokens and their text.

/// Turns a sequence's tokens into text, token by token.
package protocol TextDecoder: Sendable {
    /// The whole characters that are complete with this token.
    mutating func append(_ token: Int32) -> String
    /// The rest: U+FFFD for a broken tail.
    mutating func finish() -> String
}
