import CKernels
import Foundation
import LLMKernels
import Synchronization
import Testing

private final class Counter: Sendable {
    private let number = Atomic(0)
    func add() { number.add(1, ordering: .relaxed) }
    var value: Int { number.load(ordering: .relaxed) }
}

@Suite struct ThreadTeamTests {
    @Test(arguments: 1...5)
    func everyPartRunsOncePerRound(threads: Int) {
        let team = ThreadTeam(threads: threads)
        let parts = 13, counts = AlignedBuffer<Int>(count: parts * 8), busy = AlignedBuffer<Int>(count: threads * 8)
        for round in 1...2000 {
            team.run(parts: parts) { part, thread in
                #expect(0..<threads ~= thread)
                busy.base[thread * 8] += 1
                counts.base[part * 8] += 1
            }
            for part in 0..<parts { #expect(counts.base[part * 8] == round) }
            #expect((0..<threads).reduce(0) { $0 + busy.base[$1 * 8] } == round * parts)
            if round % 500 == 0 { usleep(2000) }  // long enough for the team to fall asleep
        }
    }

    @Test func nestedAndConcurrentRunsAreWhole() async {
        let team = ThreadTeam(threads: 3)
        let total = Counter()
        team.run(parts: 3) { _, _ in
            team.run(parts: 5) { _, _ in total.add() }
        }
        #expect(total.value == 15)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<500 { team.run(parts: 3) { _, _ in total.add() } }
                }
            }
        }
        #expect(total.value == 15 + 4 * 500 * 3)
    }

    @Test func teamsComeAndGo() {
        for threads in 0..<200 { ThreadTeam(threads: 1 + threads % 4).run(parts: threads % 3) { _, _ in } }
    }
}

/// The level is chosen once per process, so each wish gets its own.
@Suite struct CPUFeatureTests {
    @Test func activeLevelIsSupported() throws {
        let level = try CPUFeatureLevel.active()
        #expect(CPUFeatureLevel.supported.contains(level) && CPUFeatureLevel.supported.first == .scalar)
    }

    @Test func unknownLevelIsReported() async {
        await #expect(processExitsWith: .success) {
            setenv("MILLRACE_CPU", "abacus", 1)
            #expect(throws: KernelError.unknownLevel("abacus")) { try CPUFeatureLevel.active() }
        }
    }

    @Test func scalarCanBeForced() async {
        await #expect(processExitsWith: .success) {
            setenv("MILLRACE_CPU", "scalar", 1)
            #expect((try? CPUFeatureLevel.active()) == .scalar)
        }
    }

    @Test func badShapesStopAtTheBorder() async {
        await #expect(processExitsWith: .failure) {
            _ = AlignedBuffer<Float>(count: 99).matrix(rows: 10, columns: 10)
        }
    }
}
