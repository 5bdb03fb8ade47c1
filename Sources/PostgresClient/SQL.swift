// A statement. Only literals of the program become statements, so that no value can ever be part of one.

/// One SQL statement with its values as `$1`, `$2`, …
package struct SQL: Sendable, ExpressibleByStringLiteral {
    package let text: String

    package init(stringLiteral value: StaticString) { text = "\(value)" }

    /// For text that the program itself carries: migrations, and names of test databases. Never for input.
    package init(trusted text: String) { self.text = text }
}
