// What can be wrong with a model on disk. Every case names the file, and the field in it.

/// Why a model file or folder cannot be used.
package enum ModelError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or folder cannot be opened or read at all.
    case unreadable(path: String, reason: String)
    /// The content breaks its format: a length, an offset, a value out of range.
    case invalidFile(path: String, field: String, reason: String)
    /// The content is well formed, but asks for something that Millrace does not implement.
    case unsupported(path: String, field: String, reason: String)
    /// A tensor that the architecture needs is not in the file.
    case missingTensor(path: String, name: String)
    /// A tensor has other dimensions than the configuration says. Both are [rows, columns] or [length].
    case wrongShape(path: String, name: String, found: [Int], expected: [Int])
    /// A file cannot be written.
    case unwritable(path: String, reason: String)

    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): cannot be read: \(reason)"
        case .invalidFile(let path, let field, let reason): "\(path): \(field): \(reason)"
        case .unsupported(let path, let field, let reason): "\(path): \(field): \(reason)"
        case .missingTensor(let path, let name): "\(path): tensor \"\(name)\" is missing"
        case .wrongShape(let path, let name, let found, let expected):
            "\(path): tensor \"\(name)\": shape \(found) where \(expected) is expected"
        case .unwritable(let path, let reason): "\(path): cannot be written: \(reason)"
        }
    }
}
