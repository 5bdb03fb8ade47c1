// Python's operators. Integers are exact within 64 bits; a result beyond them is an error.
import Glibc

extension Interpreter {
    /// The error of using an undefined value, or of an operator that these types do not have.
    private func unsupported(_ op: String, _ left: TemplateValue, _ right: TemplateValue) -> TemplateFault {
        if case .undefined(let reason) = left { return fail(reason) }
        if case .undefined(let reason) = right { return fail(reason) }
        return fail("'\(op)' does not work between \(left.typeName) and \(right.typeName)")
    }

    func combine(
        _ left: TemplateValue, _ op: ArithmeticOperator, _ right: TemplateValue
    ) throws(TemplateFault) -> TemplateValue {
        switch op {
        case .add:
            switch (left, right) {
            case (.string(let left), .string(let right)):
                try reserve(bytes: left.utf8.count + right.utf8.count)
                return .string(left + right)
            case (.list(let left), .list(let right)): return try list(left.elements + right.elements)
            case (.tuple(let left), .tuple(let right)): return try tuple(left.elements + right.elements)
            default: if let joined = try joinMarkup(left, right) { return joined }
            }
        case .multiply:
            if let count = right.index, let repeated = try repeated(left, count) { return repeated }
            if let count = left.index, let repeated = try repeated(right, count) { return repeated }
        case .modulo:
            if let format = left.text {
                if case .markup = left { return .markup(try format.percent(right, escapes: true, self)) }
                return .string(try format.percent(right, escapes: false, self))
            }
        default: break
        }
        if let left = left.index, let right = right.index { return try combine(left, op, right) }
        guard let first = left.number, let second = right.number else { throw unsupported(op.rawValue, left, right) }
        return .float(try combine(first, op, second))
    }

    /// A marked string and another one: the other is escaped.
    private func joinMarkup(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFault) -> TemplateValue? {
        guard let first = left.text, let second = right.text else { return nil }
        var parts = (first, second)
        if case .string = left { parts.0 = try escaped(first) }
        if case .string = right { parts.1 = try escaped(second) }
        try reserve(bytes: parts.0.utf8.count + parts.1.utf8.count)
        return .markup(parts.0 + parts.1)
    }

    /// As `markupsafe.escape`.
    func escaped(_ text: String) throws(TemplateFault) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += "&amp;".utf8
            case UInt8(ascii: ">"): result += "&gt;".utf8
            case UInt8(ascii: "<"): result += "&lt;".utf8
            case UInt8(ascii: "'"): result += "&#39;".utf8
            case UInt8(ascii: "\""): result += "&#34;".utf8
            default: result.append(byte)
            }
        }
        try reserve(bytes: result.count)
        return String(decoding: result, as: UTF8.self)
    }

    func escaped(_ text: String, unlessMarked value: TemplateValue) throws(TemplateFault) -> String {
        if case .markup = value { return text }
        return try escaped(text)
    }

    private func repeated(_ value: TemplateValue, _ count: Int) throws(TemplateFault) -> TemplateValue? {
        let count = max(count, 0)
        switch value {
        case .string(let text), .markup(let text):
            let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: count)
            try reserve(bytes: overflow ? .max : bytes)
            let result = String(repeating: text, count: count)
            if case .markup = value { return .markup(result) }
            return .string(result)
        case .list(let list), .tuple(let list):
            let (total, overflow) = list.elements.count.multipliedReportingOverflow(by: count)
            try charge(elements: overflow ? .max : total)
            let elements = Array(repeatElement(list.elements, count: list.elements.isEmpty ? 0 : count).joined())
            if case .tuple = value { return try tuple(elements) }
            return try self.list(elements)
        default: return nil
        }
    }

    // MARK: Numbers

    private func combine(
        _ left: Int, _ op: ArithmeticOperator, _ right: Int
    ) throws(TemplateFault) -> TemplateValue {
        var result: (partialValue: Int, overflow: Bool)
        switch op {
        case .add: result = left.addingReportingOverflow(right)
        case .subtract: result = left.subtractingReportingOverflow(right)
        case .multiply: result = left.multipliedReportingOverflow(by: right)
        case .divide:
            guard right != 0 else { throw fail("division by zero") }
            return .float(Double(left) / Double(right))
        case .floorDivide:
            guard right != 0 else { throw fail("division by zero") }
            result = left.dividedReportingOverflow(by: right)
            if !result.overflow, left % right != 0, (left < 0) != (right < 0) { result.partialValue -= 1 }
        case .modulo:
            guard right != 0 else { throw fail("modulo by zero") }
            // Int.min % -1 is 0, though the quotient overflows.
            let rest = right == -1 ? 0 : left % right
            result = (rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest, false)
        case .power:
            if right < 0 { return .float(try power(Double(left), Double(right))) }
            result = integerPower(left, right)
        }
        guard !result.overflow else { throw fail("an integer does not fit into 64 bits") }
        return .integer(result.partialValue)
    }

    private func integerPower(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        guard exponent < 64 else { return (0, true) }
        var result = 1
        for _ in 0..<exponent {
            let product = result.multipliedReportingOverflow(by: base)
            if product.overflow { return product }
            result = product.partialValue
        }
        return (result, false)
    }

    private func combine(_ left: Double, _ op: ArithmeticOperator, _ right: Double) throws(TemplateFault) -> Double {
        switch op {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .power: return try power(left, right)
        case .divide, .floorDivide, .modulo:
            guard right != 0 else { throw fail("division by zero") }
            if op == .divide { return left / right }
            // The sign of the rest follows the divisor; the quotient is the rounded rest-free one.
            var rest = fmod(left, right)
            var quotient = (left - rest) / right
            if rest == 0 {
                rest = Double(signOf: right, magnitudeOf: 0)
            } else if (rest < 0) != (right < 0) {
                rest += right
                quotient -= 1
            }
            if op == .modulo { return rest }
            if quotient == 0 { return Double(signOf: left / right, magnitudeOf: 0) }
            let floor = quotient.rounded(.down)
            return quotient - floor > 0.5 ? floor + 1 : floor
        }
    }

    private func power(_ base: Double, _ exponent: Double) throws(TemplateFault) -> Double {
        if base == 0, exponent < 0 { throw fail("zero cannot be raised to a negative power") }
        let result = pow(base, exponent)
        guard result.isFinite || !base.isFinite || !exponent.isFinite else {
            throw fail("the power is no number that can be held")
        }
        return result
    }

    func negative(_ operand: Expression, _ place: Int) throws(TemplateFault) -> TemplateValue {
        let value = try evaluate(operand)
        self.place = place
        if let number = value.index {
            guard number != .min else { throw fail("an integer does not fit into 64 bits") }
            return .integer(-number)
        }
        return .float(-(try number(value, for: "-")))
    }

    func positive(_ operand: Expression, _ place: Int) throws(TemplateFault) -> TemplateValue {
        let value = try evaluate(operand)
        self.place = place
        if let number = value.index { return .integer(number) }
        return .float(try number(value, for: "+"))
    }

    private func number(_ value: TemplateValue, for op: String) throws(TemplateFault) -> Double {
        if case .undefined(let reason) = value { throw fail(reason) }
        guard let number = value.number else { throw fail("'\(op)' does not work on \(value.typeName)") }
        return number
    }

    // MARK: Comparisons

    func compare(
        _ left: TemplateValue, _ op: ComparisonOperator, _ right: TemplateValue
    ) throws(TemplateFault) -> Bool {
        switch op {
        case .equal: return try equal(left, right)
        case .notEqual: return try !equal(left, right)
        case .contained: return try contains(right, left)
        case .notContained: return try !contains(right, left)
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard let order = try order(left, right) else {
                // Floats that are not numbers are neither less nor greater; all else that has no order is an error.
                guard left.number != nil, right.number != nil else { throw unsupported(op.rawValue, left, right) }
                return false
            }
            return switch op {
            case .less: order < 0
            case .lessOrEqual: order <= 0
            case .greater: order > 0
            default: order >= 0
            }
        }
    }

    func equal(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFault) -> Bool {
        if let left = left.text, let right = right.text {
            guard left.utf8.count == right.utf8.count else { return false }
            try charge(left.utf8.count)
            return TemplateText.order(left, right) == 0
        }
        if let left = left.index, let right = right.index { return left == right }
        if let left = left.number, let right = right.number { return left == right }
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            return try equal(left.elements, right.elements)
        case (.dictionary(let left), .dictionary(let right)):
            guard left.entries.count == right.entries.count else { return false }
            try charge(elements: left.entries.count)
            for (key, value) in left.entries {
                guard let other = right.entries[key], try equal(value, other) else { return false }
            }
            return true
        case (.range(let left), .range(let right)):
            return left.count == right.count
                && (left.count == 0 || left.start == right.start && (left.count == 1 || left.step == right.step))
        default: return same(left, right)
        }
    }

    private func equal(_ left: [TemplateValue], _ right: [TemplateValue]) throws(TemplateFault) -> Bool {
        guard left.count == right.count else { return false }
        for (left, right) in zip(left, right) {
            try charge(elements: 1)
            guard try equal(left, right) else { return false }
        }
        return true
    }

    /// Python's `is`.
    func same(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
        switch (left, right) {
        case (.none, .none): true
        case (.boolean(let left), .boolean(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.string(let left), .string(let right)): TemplateText.same(left, right)
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)): left === right
        case (.dictionary(let left), .dictionary(let right)): left === right
        case (.view(let left), .view(let right)): left === right
        case (.iterator(let left), .iterator(let right)): left === right
        case (.namespace(let left), .namespace(let right)): left === right
        case (.loop(let left), .loop(let right)): left === right
        case (.callable(let left), .callable(let right)): left === right
        default: false
        }
    }

    /// Negative, zero or positive; nil for values without an order.
    func order(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateFault) -> Int? {
        if let left = left.text, let right = right.text {
            try charge(min(left.utf8.count, right.utf8.count) + 1)
            return TemplateText.order(left, right)
        }
        if let left = left.index, let right = right.index { return left < right ? -1 : left > right ? 1 : 0 }
        if let left = left.number, let right = right.number {
            return left < right ? -1 : left > right ? 1 : left == right ? 0 : nil
        }
        switch (left, right) {
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (left, right) in zip(left.elements, right.elements) {
                try charge(elements: 1)
                if try !equal(left, right) {
                    guard let order = try order(left, right) else { throw unsupported("<", left, right) }
                    return order
                }
            }
            return left.elements.count - right.elements.count
        default: return nil
        }
    }

    func contains(_ container: TemplateValue, _ value: TemplateValue) throws(TemplateFault) -> Bool {
        switch container {
        case .string(let text), .markup(let text):
            guard let part = value.text else { throw fail("a str can contain a str, not \(value.typeName)") }
            try charge(text.utf8.count + part.utf8.count)
            return TemplateText.find(part, in: text) != nil
        case .dictionary(let dictionary):
            guard let key = try key(value) else { throw fail("a \(value.typeName) cannot be a key") }
            return dictionary.entries[key] != nil
        case .range(let range):
            guard let number = value.number, let wanted = Int(exactly: number), range.count > 0 else { return false }
            let (distance, overflow) = wanted.subtractingReportingOverflow(range.start)
            let quotient = distance.dividedReportingOverflow(by: range.step)
            guard !overflow, !quotient.overflow, (0..<range.count).contains(quotient.partialValue) else { return false }
            return range[quotient.partialValue] == wanted
        case .iterator(let iterator):
            while let element = iterator.next() { if try equal(element, value) { return true } }
            return false
        default:
            for element in try elements(of: container) where try equal(element, value) { return true }
            return false
        }
    }
}
