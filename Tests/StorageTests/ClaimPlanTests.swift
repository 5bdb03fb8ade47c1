// The claim stays one ordered walk of its index, however long the line is. The plans are those that PostgreSQL itself
// reports of the statement inside millrace.claim (auto_explain), the generic plan of later calls too.
import Foundation
import JSON
import JobModel
import JobStorage
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct ClaimPlanTests {
    @Test func readsAsMuchAsItClaims() async throws {
        try await TestDatabase.with { database async throws in
            let pool = database.pool(1)
            _ = try await pool.query(
                """
                INSERT INTO millrace.jobs (kind, input, queue, priority)
                SELECT 'noop', '{}', CASE WHEN n % 5 = 0 THEN 'other' ELSE 'default' END, n % 7 FROM generate_series(1, 50000) n
                """)
            for table: SQL in ["ANALYZE millrace.ready", "ANALYZE millrace.jobs", "VACUUM millrace.ready"] {
                _ = try await pool.query(table)
            }
            _ = try await PostgresJobStore(pool: pool).worker()
            let plans = try await Self.plans(of: 8, calls: 8, database) + Self.plans(of: 64, calls: 8, database)
            #expect(plans.count == 16)
            for plan in plans {
                let scans = plan.nodes.filter { $0["Relation Name"] == "ready" && $0["Index Name"] == "ready_claim" }
                #expect(scans.count == 1, "\(plan.text)")
                let claimed = plan.nodes[0]["Actual Rows"]?.doubleValue ?? 0
                for scan in scans {
                    let rows = (scan["Actual Rows"]?.doubleValue ?? 0) * (scan["Actual Loops"]?.doubleValue ?? 1)
                    #expect(rows <= claimed + 1, "\(rows) rows read for \(claimed)")
                }
                #expect(plan.nodes.allSatisfy { $0["Node Type"] != "Seq Scan" || $0["Relation Name"] != "ready" })
                #expect(plan.nodes.allSatisfy { $0["Node Type"] != "Seq Scan" || $0["Relation Name"] != "jobs" })
                // Between the index and the locks there is no sort: the index has the order of the line.
                #expect(Self.path(to: "ready_claim", in: plan.root).suffix(4).contains("LockRows"))
                #expect(!Self.path(to: "ready_claim", in: plan.root).suffix(3).contains("Sort"))
                // Pages of the walk itself, and of all that a claim does; a first call may still fill maps of free space.
                let walked = scans.map(Self.blocks).reduce(0, +)
                #expect(walked <= 10 + 3 * claimed, "\(walked) pages of the line for \(claimed) jobs")
                let all = Self.blocks(plan.root)
                #expect(all <= 150 + 20 * claimed, "\(all) pages for \(claimed) jobs")
            }
            await pool.close()
        }
    }

    private struct Plan {
        let root: JSONValue
        let nodes: [JSONValue]
        var text: String { root.text(.pretty) }
    }

    /// Plans of the statement in millrace.claim, one of each call in one session.
    private static func plans(of maximum: Int, calls: Int, _ database: TestDatabase) async throws -> [Plan] {
        let folder = NSTemporaryDirectory() + "millrace-plans-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let claim =
            "SELECT count(*) FROM millrace.claim((SELECT id FROM millrace.workers LIMIT 1), '{default}', '{noop}', '{}', \(maximum));"
        let script = """
            SET client_min_messages = log;
            LOAD 'auto_explain';
            SET auto_explain.log_nested_statements = on;
            SET auto_explain.log_analyze = on;
            SET auto_explain.log_buffers = on;
            SET auto_explain.log_timing = off;
            SET auto_explain.log_format = json;
            SET auto_explain.log_min_duration = 0;

            """ + String(repeating: claim + "\n", count: calls)
        try Data(script.utf8).write(to: URL(fileURLWithPath: folder + "/claims.sql"))
        let psql = try TestProcess(
            "/usr/bin/psql", ["-X", "-v", "ON_ERROR_STOP=1", "-f", folder + "/claims.sql", database.url],
            log: folder + "/log")
        #expect(await psql.wait() == 0)
        let log = try String(contentsOfFile: folder + "/log", encoding: .utf8)
        return try log.components(separatedBy: "LOG:  duration:").dropFirst().compactMap { entry in
            guard let start = entry.firstIndex(of: "{"), let end = entry.range(of: "\n}", options: .backwards) else {
                return nil
            }
            let value = try JSONValue(parsing: String(entry[start..<end.upperBound]))
            guard value["Query Text"]?.stringValue?.contains("trusted AS MATERIALIZED") == true,
                let root = value["Plan"]
            else { return nil }
            return Plan(root: root, nodes: nodes(root))
        }
    }

    /// Pages that the node and those below it touched.
    private static func blocks(_ node: JSONValue) -> Double {
        ["Shared Hit Blocks", "Shared Read Blocks"].reduce(0) { $0 + (node[$1]?.doubleValue ?? 0) }
    }

    /// The node and all below it.
    private static func nodes(_ node: JSONValue) -> [JSONValue] {
        [node] + (node["Plans"]?.arrayValue ?? []).flatMap(nodes)
    }

    /// Types of the nodes from the root down to the scan of this index.
    private static func path(to index: String, in node: JSONValue) -> [String] {
        let type = node["Node Type"]?.stringValue ?? ""
        if node["Index Name"]?.stringValue == index { return [type] }
        for child in node["Plans"]?.arrayValue ?? [] {
            let rest = path(to: index, in: child)
            if !rest.isEmpty { return [type] + rest }
        }
        return []
    }
}
