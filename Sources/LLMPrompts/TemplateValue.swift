// What expressions evaluate to: Python's values as a sandboxed template sees them. Lists and dictionaries cannot change,
// so they are shared freely; what can change (namespaces, loops) is a class that the interpreter empties at the end.
import JSON
import OrderedCollections

enum TemplateValue {
    /// A missing variable, attribute or element; the text says which, for the error that its use raises.
    case undefined(String)
    case none
    case boolean(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    /// A string that the `safe` or `escape` filter marked: joining it with others escapes them.
    case markup(String)
    case list(TemplateList)
    case tuple(TemplateList)
    case dictionary(TemplateDictionary)
    /// What `keys()`, `values()` and `items()` give.
    case view(TemplateView)
    case range(TemplateRange)
    /// A sequence that can be read once, as many filters give.
    case iterator(TemplateIterator)
    case namespace(TemplateNamespace)
    case loop(TemplateLoop)
    case callable(TemplateCallable)

    /// The text of a string or marked string.
    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// The value as an index: integers and, as in Python, booleans.
    var index: Int? {
        switch self {
        case .integer(let value): value
        case .boolean(let value): value ? 1 : 0
        default: nil
        }
    }

    var number: Double? {
        if case .float(let value) = self { return value }
        return index.map(Double.init)
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .boolean(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text), .markup(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.elements.isEmpty
        case .dictionary(let dictionary): !dictionary.entries.isEmpty
        case .view(let view): !view.elements.isEmpty
        case .range(let range): range.count > 0
        case .iterator, .namespace, .loop, .callable: true
        }
    }

    /// Containers inside one another. Bounded when one is made, so that walking and freeing values never overflows the
    /// stack. What can change counts nothing: the interpreter frees it one by one.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .view(let view): view.depth
        case .iterator(let iterator): iterator.depth
        case .loop(let loop): loop.depth
        case .callable(let callable): callable.depth
        default: 0
        }
    }

    /// Python's name of the type, for messages.
    var typeName: String {
        switch self {
        case .undefined: "undefined value"
        case .none: "None"
        case .boolean: "bool"
        case .integer: "int"
        case .float: "float"
        case .string, .markup: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .view: "dict view"
        case .range: "range"
        case .iterator: "generator"
        case .namespace: "namespace"
        case .loop: "loop"
        case .callable: "function"
        }
    }
}

final class TemplateList {
    let elements: [TemplateValue]
    let depth: Int
    /// Names of the elements of a tuple that `groupby` gives.
    let fields: [String]

    init(_ elements: [TemplateValue], depth: Int, fields: [String] = []) {
        self.elements = elements
        self.depth = depth
        self.fields = fields
    }
}

final class TemplateDictionary {
    let entries: OrderedDictionary<TemplateKey, TemplateValue>
    let depth: Int

    init(_ entries: OrderedDictionary<TemplateKey, TemplateValue>, depth: Int) {
        self.entries = entries
        self.depth = depth
    }
}

final class TemplateView {
    enum Kind: String { case keys, values, items }
    let kind: Kind
    let elements: [TemplateValue]
    let depth: Int

    init(_ kind: Kind, _ elements: [TemplateValue], depth: Int) {
        self.kind = kind
        self.elements = elements
        self.depth = depth
    }
}

struct TemplateRange {
    let start: Int
    /// As it was given, for printing.
    let stop: Int
    let step: Int
    let count: Int

    /// Every index below `count` is in range of Int by construction.
    subscript(index: Int) -> Int { start + index * step }
}

final class TemplateIterator {
    private var rest: ArraySlice<TemplateValue>
    let depth: Int

    init(_ elements: [TemplateValue], depth: Int) {
        rest = elements[...]
        self.depth = depth
    }

    func next() -> TemplateValue? { rest.popFirst() }

    func takeAll() -> [TemplateValue] {
        defer { rest = [] }
        return Array(rest)
    }
}

final class TemplateNamespace {
    var attributes: OrderedDictionary<TemplateKey, TemplateValue>

    init(_ attributes: OrderedDictionary<TemplateKey, TemplateValue>) { self.attributes = attributes }
}

/// The variable `loop`.
final class TemplateLoop {
    let items: [TemplateValue]
    let depth: Int
    var index = 0
    /// The arguments of the last call of `loop.changed`.
    var lastChanged: [TemplateValue]?

    init(_ items: [TemplateValue], depth: Int) {
        self.items = items
        self.depth = depth
    }
}

final class TemplateCallable {
    enum Kind {
        case function(TemplateFunction)
        case method(String, of: TemplateValue)
        case macro(TemplateMacro)
    }
    let kind: Kind
    let depth: Int

    init(_ kind: Kind) {
        self.kind = kind
        if case .method(_, let receiver) = kind { depth = receiver.depth + 1 } else { depth = 0 }
    }
}

struct TemplateMacro {
    let node: MacroNode
    let scope: TemplateScope
}

/// The arguments of a call, evaluated.
struct TemplateArguments {
    var positional: [TemplateValue] = []
    var keywords: [(name: String, value: TemplateValue)] = []
}

// MARK: Keys

/// A value that can be a dictionary key. As in Python 1, 1.0 and True are one key.
struct TemplateKey: Hashable {
    let value: TemplateValue

    /// Elements of a tuple that serves as a key, at most.
    private static let maximumTupleCount = 64

    init(_ text: String) { value = .string(text) }

    /// Nil for what Python cannot hash, for tuples of other than simple values, and for namespaces and functions.
    init?(_ value: TemplateValue) {
        switch value {
        case .undefined, .none, .boolean, .integer, .float, .string, .markup: break
        case .tuple(let list):
            guard list.depth == 1, list.elements.count <= Self.maximumTupleCount,
                list.elements.allSatisfy({ TemplateKey($0) != nil })
            else { return nil }
        default: return nil
        }
        self.value = value
    }

    static func == (left: TemplateKey, right: TemplateKey) -> Bool {
        switch (left.value, right.value) {
        case (.undefined, .undefined), (.none, .none): true
        case (.tuple(let left), .tuple(let right)):
            left.elements.count == right.elements.count
                && zip(left.elements, right.elements).allSatisfy { TemplateKey($0) == TemplateKey($1) }
        case (let left, let right):
            if let left = left.text, let right = right.text {
                TemplateText.same(left, right)
            } else if let left = left.index, let right = right.index {
                left == right
            } else if let left = left.number, let right = right.number {
                left == right
            } else {
                false
            }
        }
    }

    func hash(into hasher: inout Hasher) {
        if let text = value.text {
            TemplateText.withBytes(text) { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        } else if let number = value.number {
            hasher.combine(number == 0 ? 0 : number)
        } else if case .tuple(let list) = value {
            for element in list.elements { TemplateKey(element)?.hash(into: &hasher) }
        } else {
            hasher.combine(value.isUndefined)
        }
    }
}

// MARK: Variables

/// The variables of one block. Scopes are few and small; a scope that grows large gets an index.
final class TemplateScope {
    private(set) var parent: TemplateScope?
    private var names: [Int] = []
    private var values: [TemplateValue] = []
    private var places: [Int: Int] = [:]
    private static let indexedCount = 16

    init(parent: TemplateScope?) { self.parent = parent }

    subscript(name: Int) -> TemplateValue? {
        get {
            var scope: TemplateScope? = self
            while let current = scope {
                if let place = current.place(name) { return current.values[place] }
                scope = current.parent
            }
            return nil
        }
        set {
            guard let newValue else { return }
            if let place = place(name) {
                values[place] = newValue
                return
            }
            names.append(name)
            values.append(newValue)
            if names.count == Self.indexedCount {
                places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
            } else if names.count > Self.indexedCount {
                places[name] = names.count - 1
            }
        }
    }

    private func place(_ name: Int) -> Int? {
        if names.count >= Self.indexedCount { return places[name] }
        return names.firstIndex(of: name)
    }

    func removeAll() {
        names.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        places.removeAll()
    }
}
