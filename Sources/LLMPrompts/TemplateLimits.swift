// What one template may cost. Templates come with model files and chats with jobs: neither is trusted.

package struct TemplateLimits: Sendable {
    /// Bytes of the source.
    package var sourceBytes = 1 << 20
    /// Levels of statements and expressions inside one another.
    package var nesting = 100
    /// Bytes of the rendered text, and of any single string on the way to it.
    package var outputBytes = 16 << 20
    /// Work of one rendering: one unit per byte read or written, `nodeWork` per evaluated node. Bounds time and, since
    /// everything that is allocated is charged, memory.
    package var work = 256 << 20
    /// Evaluations inside one another, through all macros. Each takes up to about a kilobyte of stack.
    package var recursion = 300
    /// Lists and dictionaries inside one another.
    package var valueDepth = 150
    /// Elements of one `range()`, as in the sandbox of Jinja2.
    package var rangeCount = 100_000

    package init() {}

    static let nodeWork = 64
    static let elementWork = 32
}
