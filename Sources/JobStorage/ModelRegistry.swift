// The registry of models: names that jobs use, and the bytes that they stand for.
import PostgresClient

package struct RegisteredModel: Sendable, Equatable {
    package var name: String
    /// SHA-256 of the file, in hexadecimal.
    package var digest: String
    package var architecture: String
    package var contextLength: Int
    /// Path of the file or folder, as workers see it.
    package var uri: String
    package var bytes: Int64

    package init(
        name: String, digest: String, architecture: String, contextLength: Int, uri: String, bytes: Int64
    ) {
        self.name = name
        self.digest = digest
        self.architecture = architecture
        self.contextLength = contextLength
        self.uri = uri
        self.bytes = bytes
    }
}

extension PostgresJobStore {
    package func register(_ model: RegisteredModel) async throws(StoreError) {
        try await register(model, parentDigest: nil)
    }

    /// - Parameter parentDigest: of the model that it was made of by a quantize job.
    package func register(_ model: RegisteredModel, parentDigest: String?) async throws(StoreError) {
        try await execute(
            ModelSQL.register,
            [model.name, model.digest, model.architecture, model.contextLength, model.uri, model.bytes, parentDigest])
    }

    package func models() async throws(StoreError) -> [RegisteredModel] {
        try await query(ModelSQL.list, [], ModelSQL.model(_:))
    }

    package func model(_ name: String) async throws(StoreError) -> RegisteredModel? {
        try await query(ModelSQL.one, [name], ModelSQL.model(_:)).first
    }

    package func removeModel(_ name: String) async throws(StoreError) -> Bool {
        try await execute(ModelSQL.remove, [name]) > 0
    }
}
