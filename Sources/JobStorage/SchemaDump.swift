// The schema as the database has it, as SQL: for comparing two databases, and for those who want to read it. Asked of
// the catalogs, so that it works against every server version, with no other program beside.
import PostgresClient

package enum SchemaDump {
    /// Statements that make the schema `millrace` as it is, without its rows; in an order that does not depend on how it
    /// came to be. Empty when there is none. The roles that it grants to must exist where it is loaded.
    package static func statements(_ configuration: PostgresConfiguration) async throws(PostgresError) -> [String] {
        let connection = try await PostgresConnection.connect(configuration)
        do throws(PostgresError) {
            // Names are printed with their schema only when it is not searched; "$user" may be millrace itself.
            _ = try await connection.query("SET search_path = pg_catalog")
            var statements: [String] = []
            for sql in SchemaSQL.all {
                for row in try await connection.query(sql) { statements.append(try row.get("statement")) }
            }
            await connection.close()
            // Bodies may name functions that come later.
            return statements.isEmpty ? [] : ["SET check_function_bodies = off"] + statements
        } catch {
            await connection.close()
            throw error
        }
    }
}
