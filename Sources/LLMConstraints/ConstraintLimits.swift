// Bounds of time and memory for constraints, which are untrusted input.

package enum ConstraintLimits {
    /// UTF-8 of a regular expression, a grammar, all choices, or a schema written compactly.
    package static let sourceBytes = 1 << 18
    package static let choices = 10_000
    /// Groups inside one another in regular expressions and grammars; subschemas inside one another.
    package static let depth = 100
    /// Largest count in `{m,n}`, `minLength`, `maxItems` and the like.
    package static let repetitions = 10_000
    /// Subschemas inside one another when references are followed. A reference with other keywords beside it is read anew each
    /// time, so one that leads back to itself ends here.
    package static let levels = 120
    /// `$ref` and `allOf` that are followed to read one subschema.
    package static let references = 64
    /// Subschemas that are read, those repeated by `allOf` and `anyOf` counted each time.
    package static let subschemas = 20_000
    package static let rules = 10_000
    /// Nodes of all non-deterministic automata of a constraint.
    package static let nodes = 400_000
    /// States of all deterministic automata of a constraint.
    package static let states = 32_768
    /// Elements of all sets that the subset construction looks at.
    package static let subsetWork = 20_000_000
    /// Ways to read the text so far that are followed at the same time. An ambiguous grammar that has more keeps the one
    /// with the shortest end and the first of the others.
    package static let configurations = 128
    /// Bytes of token masks that are kept for one constraint.
    package static let maskBytes = 8 << 20
    /// Compiled constraints that are kept for one model.
    package static let cachedConstraints = 16
}
