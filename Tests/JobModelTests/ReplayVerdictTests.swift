// What two results of one job say about each other.
import JSON
import JobModel
import Testing

@Suite struct ReplayVerdictTests {
    private func job(_ text: String, cpu: String? = "avx2", model: String = "m") -> Job {
        let provenance: JSONValue? = cpu.map { ["cpu": .string($0), "model": .string(model), "threads": 2] }
        return Job(
            id: 1, kind: .generate, model: "m", queue: "default", priority: 0, state: .succeeded, attempt: 1,
            maximumAttempts: 5, input: [:], result: ["text": .string(text)],
            usage: provenance.map { ["provenance": $0] }, tenant: "", metadata: [:], createdAt: "")
    }

    @Test func bytesDecideFirst() {
        #expect(ReplayVerdict(first: job("same"), again: job("same", cpu: "scalar", model: "n")) == .equal)
        #expect(ReplayVerdict(first: job("same", cpu: nil), again: job("same")) == .equal)
        // {"text":"sa…
        #expect(ReplayVerdict(first: job("same"), again: job("sand")) == .different(offset: 11))
        #expect(ReplayVerdict(first: job("same"), again: job("sam")) == .different(offset: 12))
    }

    @Test func otherConditionsExcuseOtherBytes() {
        let reasons = [
            (job("a"), job("b", cpu: "neon"), "another CPU feature level: avx2, now neon"),
            (job("a"), job("b", model: "n"), "another model digest: m, now n"),
            (job("a", cpu: nil), job("b"), "a result does not tell what it was computed with"),
        ]
        for (first, again, reason) in reasons {
            #expect(ReplayVerdict(first: first, again: again) == .incomparable(reason: reason))
        }
    }
}
