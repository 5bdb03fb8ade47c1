// replay: runs a job once more and compares the bytes.
import ArgumentParser
import Foundation
import JSON
import JobModel
import JobStorage

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a succeeded job once more; with --verify, compare the results.",
        discussion: """
            Prints the new job's id, or with --verify waits for it and says whether the results are the same bytes. Exit \
            codes of --verify: 0 equal; 2 the new job did not succeed; 3 different; 4 not comparable, since another model, \
            adapter or CPU feature level was at work; 75 the time is over.
            """)
    @Argument(help: "The job's id.")
    var id: JobID
    @Flag(help: "Wait for the new job and compare.")
    var verify = false
    @Option(help: "Seconds that --verify waits at most (default: as long as it takes).")
    var timeout: Double?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.withStore { store in
            let new = try await store.replay(id)
            guard verify else { return common.show(["id": .integer(new), "replay_of": .integer(id)], text: "\(new)") }
            let waiter = JobWaiter(
                store: store, redis: try common.redisConfiguration(),
                deadline: timeout.map { Date(timeIntervalSinceNow: $0) }, say: common.say)
            try await waiter.wait(for: [new]) { _, _ in }
            let (first, again) = (try await store.job(id), try await store.job(new))
            guard again.state == .succeeded else {
                common.show(json("not_succeeded", again), text: "job \(new) is \(again.answer)")
                throw ExitCode.jobNotSucceeded
            }
            try tell(ReplayVerdict(first: first, again: again), first, again)
        }
    }

    private func tell(_ verdict: ReplayVerdict, _ first: Job, _ again: Job) throws {
        let builds = [first, again].map { $0.usage?["provenance"]?["build"]?.stringValue ?? "unknown" }
        let build = builds[0] == builds[1] ? "the same build" : "build \(builds[0]), now \(builds[1])"
        switch verdict {
        case .equal:
            common.show(json("equal", again), text: "equal: job \(again.id) gave the same bytes (\(build))")
        case .different(let offset):
            common.show(
                json("different", again, ["offset": .integer(Int64(offset))]),
                text: "different: job \(again.id)'s result differs from byte \(offset) on (\(build))")
            throw ExitCode.different
        case .incomparable(let reason):
            common.show(json("incomparable", again, ["reason": .string(reason)]), text: "not comparable: \(reason)")
            throw ExitCode.incomparable
        }
    }

    private func json(_ verdict: String, _ again: Job, _ more: [String: JSONValue] = [:]) -> JSONValue {
        let members: [String: JSONValue] = [
            "id": .integer(again.id), "replay_of": .integer(id), "verdict": .string(verdict),
        ].merging(more) { $1 }
        return .object(.init(uniqueKeysWithValues: members.sorted { $0.key < $1.key }))
    }
}

extension ExitCode {
    fileprivate static let different = ExitCode(3)
    fileprivate static let incomparable = ExitCode(4)
}
