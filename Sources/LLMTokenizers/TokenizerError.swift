// Why a vocabulary can't be used; names the field of the file.

package enum TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalid(field: String, reason: String)
    /// Well formed, but of a kind that is not implemented; never approximated.
    case unsupported(field: String, value: String)

    package var description: String {
        switch self {
        case .invalid(let field, let reason): "\(field): \(reason)"
        case .unsupported(let field, let value): "\(field): \(value) is not supported"
        }
    }
}
