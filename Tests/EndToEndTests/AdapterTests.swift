// LoRA adapters as a user has them: registered with jobctl, named by jobs, in one batch with their model.
import Foundation
import Glibc
import JSON
import JobModel
import PostgresClient
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct AdapterTests {
    /// One INSERT: each prompt for the model and for both adapters.
    private func insert(_ fleet: Fleet, prompts: Int) async throws -> ClosedRange<JobID> {
        let rows = (0..<prompts).flatMap { number in
            [Fleet.model, "tuned", "other"].map { model in
                """
                ('generate', '\(model)', '{"prompt": "Number \(number) is", "raw": true, "max_tokens": 24, "seed": 3}', false)
                """
            }
        }
        let ids = try await fleet.pool.query(
            SQL(
                trusted:
                    "INSERT INTO millrace.jobs (kind, model, input, cache) VALUES \(rows.joined(separator: ", ")) RETURNING id"
            )
        ).map { try $0.get("id", as: JobID.self) }
        return ids.min()!...ids.max()!
    }

    @Test func adaptersAnswerBesideTheirModel() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try TestAdapter.write(to: folder + "/tuned", seed: 1)
        try TestAdapter.write(to: folder + "/other", seed: 2)
        try await Fleet.with { fleet in
            // A worker that runs before they are registered.
            let worker = try fleet.startWorker()
            for name in ["tuned", "other"] {
                let added = try await fleet.jobctl(["model", "add", name, "\(folder)/\(name)", "--base", Fleet.model])
                #expect(added.status == 0 && added.lines[0].contains("adapter of \(Fleet.model)"), "\(added.lines)")
            }
            let ids = try await insert(fleet, prompts: 8)
            try await fleet.waitForAll(ids, within: 120)
            let jobs = try await fleet.jobs(ids)
            #expect(jobs.allSatisfy { $0.state == .succeeded }, "\(jobs.compactMap(\.error))")
            for group in stride(from: 0, to: jobs.count, by: 3) {
                #expect(Set(jobs[group..<group + 3].map { $0.result?["text"] }).count > 1)
            }
            #expect(Set(jobs.map { $0.result?["model_digest"] }).count == 3)

            // Killed and begun anew, they end with the same bytes.
            worker.signal(SIGKILL)
            _ = await worker.wait()
            let first = try fleet.startWorker()
            let again = try await insert(fleet, prompts: 8)
            try await eventually(within: 60, "jobs run") {
                try await fleet.store.states(of: Array(again)).values.contains(.running)
            }
            first.signal(SIGKILL)
            let second = try fleet.startWorker()
            try await fleet.waitForAll(again, within: 120)
            #expect(try await fleet.jobs(again).map(\.result) == jobs.map(\.result))

            let refused = try await fleet.jobctl(["model", "remove", Fleet.model])
            #expect(
                refused.status == 1 && refused.lines.joined().contains("is the base of other, tuned"),
                "\(refused.lines)")
            let stray = try await fleet.jobctl(["model", "add", "x", folder + "/tuned", "--base", "tuned"])
            #expect(stray.status == 1 && stray.lines.joined().contains("is an adapter itself"), "\(stray.lines)")
            let bare = try await fleet.jobctl(["model", "add", "x", folder + "/tuned"])
            #expect(bare.status == 1 && bare.lines.joined().contains("name its model with --base"), "\(bare.lines)")
            let shown = try await fleet.jobctl(["model", "show", "tuned", "--json"])
            #expect(shown.values[0]["base"]?.stringValue == Fleet.model)

            // Merged, the adapter is a model like any other, with nearly the same answers.
            let merge = ["model", "merge", "tuned", "--name", "merged", "--out", folder + "/merged.gguf", "--json"]
            let merged = try await fleet.jobctl(merge)
            #expect(merged.status == 0 && merged.values.last?["parent_digest"] == shown.values[0]["parent_digest"])
            let text = ["--text", "The mill stands by the river.", "--wait", "--json"]
            var scores: [Double] = []
            for model in ["tuned", "merged", Fleet.model] {
                let job = try await fleet.jobctl(["submit", "score", "--model", model] + text).values.last
                scores.append(try #require(job?["result"]?["logprob"]?.doubleValue))
            }
            // The merged matrices are 16 bits wide and read 32-bit inputs; the base reads 8-bit ones.
            #expect(abs(scores[0] - scores[1]) < 0.5 * abs(scores[0] - scores[2]), "\(scores)")
            let repeated = try await fleet.jobctl(merge)
            #expect(
                repeated.status == 1 && repeated.lines.joined().contains("is registered already"), "\(repeated.lines)")
            #expect(try await fleet.jobctl(["model", "remove", "tuned"]).status == 0)
            second.signal(SIGTERM)
            #expect(await second.wait() == 0)
        }
    }
}
