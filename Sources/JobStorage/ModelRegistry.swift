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
    /// Digest of the model that it was made of, or that an adapter belongs to.
    package var parentDigest: String?
    /// Of an adapter: the model that it changes.
    package var base: String?

    package init(
        name: String, digest: String, architecture: String, contextLength: Int, uri: String, bytes: Int64,
        parentDigest: String? = nil, base: String? = nil
    ) {
        self.name = name
        self.digest = digest
        self.architecture = architecture
        self.contextLength = contextLength
        self.uri = uri
        self.bytes = bytes
        self.parentDigest = parentDigest
        self.base = base
    }
}

extension PostgresJobStore {
    /// In the place of what had the name.
    package func register(_ model: RegisteredModel) async throws(StoreError) {
        try await execute(ModelSQL.register, model.binds)
    }

    /// - Returns: false, with nothing changed, when the name stands for another file.
    package func registerNew(_ model: RegisteredModel) async throws(StoreError) -> Bool {
        try await execute(ModelSQL.registerNew, model.binds) > 0
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

extension RegisteredModel {
    fileprivate var binds: [(any PostgresBindable)?] {
        [name, digest, architecture, contextLength, uri, bytes, parentDigest, base]
    }
}
