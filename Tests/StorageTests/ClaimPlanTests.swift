// The claim stays one ordered walk of its index, however long the line is. The plans are those that PostgreSQL itself
// reports of the statements inside millrace.claim (auto_explain), the generic plan of later calls too.
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
            let statements = try await Self.plans(of: 8, calls: 8, database) + Self.plans(of: 64, calls: 8, database)
            for step in Step.allCases {
                let plans = statements.filter { $0.step == step }
                #expect(plans.count == 16, "\(step)")
                for (number, plan) in plans.enumerated() { Self.check(plan, claimed: number < 8 ? 8 : 64) }
            }
            await pool.close()
        }
    }

    /// The statements of a claim that touch the line, by what tells them apart.
    private enum Step: String, CaseIterable {
        case look = "head AS MATERIALIZED"
        case pick = "trusted AS MATERIALIZED"
        case take = "taken AS ("
    }

    private static func check(_ plan: Plan, claimed: Double) {
        #expect(plan.nodes.allSatisfy { $0["Node Type"] != "Seq Scan" || $0["Relation Name"] != "ready" })
        #expect(plan.nodes.allSatisfy { $0["Node Type"] != "Seq Scan" || $0["Relation Name"] != "jobs" })
        let scans = plan.nodes.filter { $0["Relation Name"] == "ready" && $0["Index Name"] == "ready_claim" }
        let rows = scans.reduce(0) {
            $0 + ($1["Actual Rows"]?.doubleValue ?? 0) * ($1["Actual Loops"]?.doubleValue ?? 1)
        }
        let all = blocks(plan.root)
        switch plan.step {
        case .look:
            #expect(scans.count == 1 && rows == 1, "\(plan.text)")
            // Places that the claim before left are passed once.
            #expect(all <= 40 + claimed, "\(all) pages to look")
        case .pick:
            #expect(scans.count == 1 && rows <= claimed + 1, "\(rows) rows read for \(claimed): \(plan.text)")
            // Between the index and the locks there is no sort: the index has the order of the line.
            #expect(path(to: "ready_claim", in: plan.root).suffix(4).contains("LockRows"))
            #expect(!path(to: "ready_claim", in: plan.root).suffix(3).contains("Sort"))
            let walked = scans.map(blocks).reduce(0, +)
            #expect(walked <= 10 + 3 * claimed, "\(walked) pages of the line for \(claimed) jobs")
            #expect(all <= 40 + 5 * claimed, "\(all) pages to pick \(claimed) jobs")
        case .take:
            // A first call may still fill maps of free space.
            #expect(all <= 150 + 20 * claimed, "\(all) pages to take \(claimed) jobs")
        }
    }

    private struct Plan {
        let step: Step
        let root: JSONValue
        let nodes: [JSONValue]
        var text: String { root.text(.pretty) }
    }

    /// Plans of the statements in millrace.claim, of each call in one session.
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
            guard let text = value["Query Text"]?.stringValue, let root = value["Plan"],
                let step = Step.allCases.first(where: { text.contains($0.rawValue) })
            else { return nil }
            return Plan(step: step, root: root, nodes: nodes(root))
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
