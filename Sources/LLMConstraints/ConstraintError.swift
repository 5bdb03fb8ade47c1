// Why a constraint can't be compiled. Found before any work on the answer.

package struct ConstraintError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: Sendable, Hashable {
        /// The text is not what its language allows.
        case invalid
        /// A feature of the language that constraints don't have.
        case unsupported
        /// Beyond one of `ConstraintLimits`.
        case tooLarge
        /// No text satisfies the constraint, or none that the model's tokens can spell.
        case impossible
    }

    package let kind: Kind
    /// Where: a JSON pointer of a schema (`#/properties/name`), a place in a regular expression (`character 7`) or in a
    /// grammar (`line 2, column 5`); empty where no single place is to blame.
    package let place: String
    package let reason: String

    package init(_ kind: Kind, _ place: String, _ reason: String) {
        self.kind = kind
        self.place = place
        self.reason = reason
    }

    package var description: String { place.isEmpty ? reason : "\(place): \(reason)" }
}
