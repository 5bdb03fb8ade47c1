// The list of migrations, embedded in the binary: programs need no folder at run time. A test compares it with the folder.

/// One step of the schema, with the way back.
package struct Migration: Sendable {
    package let version: Int
    package let name: String
    package let up: String
    package let down: String
}

package enum Migrations {
    package static let all: [Migration] = [
        migration(1, "tables", PackageResources._001_tables_up_sql, PackageResources._001_tables_down_sql),
        migration(2, "insert", PackageResources._002_insert_up_sql, PackageResources._002_insert_down_sql),
        migration(3, "worker", PackageResources._003_worker_up_sql, PackageResources._003_worker_down_sql),
        migration(4, "client", PackageResources._004_client_up_sql, PackageResources._004_client_down_sql),
        migration(
            5, "score_embed", PackageResources._005_score_embed_up_sql, PackageResources._005_score_embed_down_sql),
        migration(6, "quantize", PackageResources._006_quantize_up_sql, PackageResources._006_quantize_down_sql),
        migration(7, "adapters", PackageResources._007_adapters_up_sql, PackageResources._007_adapters_down_sql),
        migration(
            8, "quantize_names", PackageResources._008_quantize_names_up_sql,
            PackageResources._008_quantize_names_down_sql),
        migration(9, "attempts", PackageResources._009_attempts_up_sql, PackageResources._009_attempts_down_sql),
        migration(10, "fsck", PackageResources._010_fsck_up_sql, PackageResources._010_fsck_down_sql),
        migration(11, "limits", PackageResources._011_limits_up_sql, PackageResources._011_limits_down_sql),
        migration(12, "affinity", PackageResources._012_affinity_up_sql, PackageResources._012_affinity_down_sql),
        migration(
            13, "completion", PackageResources._013_completion_up_sql, PackageResources._013_completion_down_sql),
        migration(
            14, "dependencies", PackageResources._014_dependencies_up_sql, PackageResources._014_dependencies_down_sql),
        migration(15, "batches", PackageResources._015_batches_up_sql, PackageResources._015_batches_down_sql),
        migration(16, "rates", PackageResources._016_rates_up_sql, PackageResources._016_rates_down_sql),
        migration(17, "reuse", PackageResources._017_reuse_up_sql, PackageResources._017_reuse_down_sql),
        migration(18, "streams", PackageResources._018_streams_up_sql, PackageResources._018_streams_down_sql),
    ]

    private static func migration(_ version: Int, _ name: String, _ up: [UInt8], _ down: [UInt8]) -> Migration {
        Migration(
            version: version, name: name, up: String(decoding: up, as: UTF8.self),
            down: String(decoding: down, as: UTF8.self))
    }
}
