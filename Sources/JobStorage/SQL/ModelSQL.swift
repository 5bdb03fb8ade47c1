// The registry of models.
import PostgresClient

enum ModelSQL {
    static let register: SQL = """
        INSERT INTO millrace.models (name, digest, architecture, context_length, uri, bytes, parent_digest, base)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (name) DO UPDATE SET digest = EXCLUDED.digest, architecture = EXCLUDED.architecture,
            context_length = EXCLUDED.context_length, uri = EXCLUDED.uri, bytes = EXCLUDED.bytes,
            parent_digest = EXCLUDED.parent_digest, base = EXCLUDED.base, created_at = now()
        """
    /// Changes nothing when the name stands for another file: then no row is affected. The same one is from an attempt whose
    /// end was not stored.
    static let registerNew: SQL = """
        INSERT INTO millrace.models (name, digest, architecture, context_length, uri, bytes, parent_digest, base)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (name) DO UPDATE SET uri = EXCLUDED.uri
            WHERE models.digest = EXCLUDED.digest AND models.uri = EXCLUDED.uri
        """
    static let list: SQL = "SELECT * FROM millrace.models ORDER BY name"
    static let one: SQL = "SELECT * FROM millrace.models WHERE name = $1"
    static let remove: SQL = "DELETE FROM millrace.models WHERE name = $1"

    static func model(_ row: PostgresRow) throws(PostgresError) -> RegisteredModel {
        RegisteredModel(
            name: try row.get("name"), digest: try row.get("digest"), architecture: try row.get("architecture"),
            contextLength: try row.get("context_length"), uri: try row.get("uri"), bytes: try row.get("bytes"),
            parentDigest: try row.optional("parent_digest", as: String.self),
            base: try row.optional("base", as: String.self))
    }
}
