// Templates for models whose file brings none.

package enum BuiltInTemplate: String, Sendable, CaseIterable {
    /// Turns between `<|im_start|>` and `<|im_end|>`.
    case chatml
    /// The contents one after the other, each on a line of its own: for models that were never taught turns.
    case plain

    package var source: String {
        switch self {
        case .chatml:
            Self.text + """
                {%- for message in messages %}
                {{- '<|im_start|>' + message.role + '\\n' + text(message) + '<|im_end|>\\n' }}
                {%- endfor %}
                {%- if add_generation_prompt %}
                {{- '<|im_start|>assistant\\n' }}
                {%- endif %}
                """
        case .plain:
            Self.text + """
                {{- bos_token }}
                {%- for message in messages %}
                {{- text(message) }}
                {%- if not loop.last %}{{ '\\n' }}{% endif %}
                {%- endfor %}
                """
        }
    }

    /// The text of a message: its content, or the texts among its parts.
    private static let text = """
        {%- macro text(message) %}
        {%- if message.content is string %}{{ message.content }}
        {%- else %}{{ message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}
        {%- endif %}
        {%- endmacro %}

        """
}

extension ChatTemplate {
    /// The template to render with: the built-in one that the caller names, otherwise the model's own.
    /// - Parameters:
    ///   - name: `chatml` or `plain`; nil for the model's own.
    ///   - model: the model's name, for the error that a base model without template gives.
    package static func choose(
        named name: String?, own source: String?, model: String
    ) throws(TemplateError) -> ChatTemplate {
        let names = BuiltInTemplate.allCases.map(\.rawValue).joined(separator: ", ")
        if let name {
            guard let template = BuiltInTemplate(rawValue: name) else {
                throw .noTemplate("there is no chat template \"\(name)\"; the built-in ones are \(names)")
            }
            return try ChatTemplate(template.source)
        }
        guard let source else {
            throw .noTemplate("model \"\(model)\" has no chat template; name one of \(names), or send a plain prompt")
        }
        return try ChatTemplate(source)
    }
}
