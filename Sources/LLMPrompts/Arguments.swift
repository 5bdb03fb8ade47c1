// Fits the arguments of a call to the parameters of a built-in function, filter, test or method.

struct BoundArguments {
    /// One entry per parameter, nil where the call gives none.
    let values: [TemplateValue?]

    subscript(index: Int) -> TemplateValue? { values[index] }

    /// The argument unless it is missing or None.
    func given(_ index: Int) -> TemplateValue? {
        if case .some(.none) = values[index] { return nil }
        return values[index]
    }

    func isTrue(_ index: Int, default standard: Bool = false) -> Bool { values[index]?.isTrue ?? standard }
}

extension Interpreter {
    /// - Parameter positionalOnly: parameters from the start that cannot be given by name.
    func bind(
        _ arguments: TemplateArguments, of function: String, to parameters: [String], required: Int = 0,
        positionalOnly: Int = 0
    ) throws(TemplateFault) -> BoundArguments {
        guard arguments.positional.count <= parameters.count else {
            throw fail("\(function) takes not more than \(parameters.count) arguments")
        }
        var values: [TemplateValue?] = arguments.positional
        values += Array(repeating: nil, count: parameters.count - values.count)
        for (name, value) in arguments.keywords {
            guard let index = parameters.firstIndex(of: name), index >= positionalOnly, values[index] == nil else {
                throw fail("\(function) takes no keyword argument '\(name.prefix(40))' here")
            }
            values[index] = value
        }
        for index in 0..<required where values[index] == nil {
            throw fail("\(function) needs an argument '\(parameters[index])'")
        }
        return BoundArguments(values: values)
    }

    func integer(_ value: TemplateValue?, default standard: Int, of function: String) throws(TemplateFault) -> Int {
        guard let value else { return standard }
        if case .undefined(let reason) = value { throw fail(reason) }
        guard let number = value.index else { throw fail("\(function) needs an integer, not \(value.typeName)") }
        return number
    }

    func text(_ value: TemplateValue?, default standard: String, of function: String) throws(TemplateFault) -> String {
        guard let value else { return standard }
        guard let text = value.text else { throw fail("\(function) needs a str, not \(value.typeName)") }
        return text
    }
}
