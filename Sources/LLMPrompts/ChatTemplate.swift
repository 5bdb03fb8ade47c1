// A chat template: parsed once, rendered for every chat. The language is Jinja2 as transformers renders it.
import JSON
import OrderedCollections

package struct ChatTemplate: Sendable {
    private let source: String
    private let program: TemplateProgram
    private let identifiers: [String: Int]
    private let functions: [(Int, TemplateFunction)]
    private let limits: TemplateLimits

    /// What a rendering gives.
    package struct Rendering: Sendable, Equatable {
        package let text: String
        /// UTF-8 ranges of `text` that `{% generation %}` blocks wrote: what the assistant said. Empty for templates that
        /// do not mark it.
        package let generated: [Range<Int>]
    }

    package init(_ source: String, limits: TemplateLimits = TemplateLimits()) throws(TemplateError) {
        self.source = source
        self.limits = limits
        do throws(TemplateFault) {
            guard source.utf8.count <= limits.sourceBytes else {
                throw TemplateFault(.limit, "a source of more than \(limits.sourceBytes) bytes", 0)
            }
            program = try TemplateParser.parse(source, maximumNesting: limits.nesting)
        } catch {
            throw Self.error(error, in: source)
        }
        let identifiers = Dictionary(uniqueKeysWithValues: program.names.enumerated().map { ($1, $0) })
        self.identifiers = identifiers
        functions = TemplateFunction.allCases.compactMap { function in
            identifiers[function.rawValue].map { ($0, function) }
        }
    }

    /// Variables that the template does not mention cost nothing.
    package func render(
        _ variables: OrderedDictionary<String, JSONValue>, now: TemplateTime
    ) throws(TemplateError) -> String {
        try renderMarked(variables, now: now).text
    }

    package func renderMarked(
        _ variables: OrderedDictionary<String, JSONValue>, now: TemplateTime
    ) throws(TemplateError) -> Rendering {
        let interpreter = Interpreter(program: program, identifiers: identifiers, limits: limits, now: now)
        do throws(TemplateFault) {
            try interpreter.run(
                functions: functions,
                variables: variables.compactMap { name, value in identifiers[name].map { ($0, value) } })
        } catch {
            throw Self.error(error, in: source)
        }
        return Rendering(text: interpreter.output, generated: interpreter.generationRanges)
    }

    /// Whether the template reads a variable of this name somewhere.
    package func mentions(_ name: String) -> Bool { identifiers[name] != nil }

    private static func error(_ fault: TemplateFault, in source: String) -> TemplateError {
        let before = TemplateLexer.normalised(source).prefix(fault.place)
        let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        let position = TemplatePosition(
            line: before.count(where: { $0 == 0x0A }) + 1,
            column: before[lineStart...].count(where: { $0 & 0xC0 != 0x80 }) + 1)
        return switch fault.kind {
        case .syntax: .syntax(fault.reason, at: position)
        case .evaluation: .evaluation(fault.reason, at: position)
        case .raised: .raised(fault.reason, at: position)
        case .limit: .limit(fault.reason, at: position)
        }
    }
}
