// What can be wrong with a chat template, with its values or with the chat itself.

/// A place in the source of a template; lines and columns count from 1, a column counts Unicode scalars.
package struct TemplatePosition: Sendable, Equatable, CustomStringConvertible {
    package let line: Int
    package let column: Int
    package var description: String { "line \(line), column \(column)" }
}

package enum TemplateError: Error, Equatable, CustomStringConvertible {
    /// The source is not a template.
    case syntax(String, at: TemplatePosition)
    /// An expression or statement failed on these values.
    case evaluation(String, at: TemplatePosition)
    /// The template refused the chat: it called `raise_exception` with this message.
    case raised(String, at: TemplatePosition)
    /// One of `TemplateLimits` is exceeded.
    case limit(String, at: TemplatePosition)
    /// The chat itself is malformed; `field` is a path such as `messages[2].content`.
    case invalidChat(field: String, reason: String)
    /// There is no template to render with.
    case noTemplate(String)

    package var description: String {
        switch self {
        case .syntax(let reason, let position): "chat template, \(position): \(reason)"
        case .evaluation(let reason, let position): "chat template, \(position): \(reason)"
        case .raised(let message, _): "the chat template refuses this chat: \(message)"
        case .limit(let reason, let position): "chat template, \(position): \(reason)"
        case .invalidChat(let field, let reason): "\(field): \(reason)"
        case .noTemplate(let reason): reason
        }
    }
}

/// An error on its way out of lexer, parser or interpreter, which know byte offsets; `ChatTemplate` turns it into a
/// `TemplateError` with line and column.
struct TemplateFault: Error {
    enum Kind { case syntax, evaluation, raised, limit }
    let kind: Kind
    let reason: String
    /// Byte offset in the source with normalised line ends.
    let place: Int

    init(_ kind: Kind, _ reason: String, _ place: Int) {
        self.kind = kind
        self.reason = reason
        self.place = place
    }
}
