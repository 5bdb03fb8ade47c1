// y += B·(A·x): against double precision, the same bytes at every level, and only in rows that have changes.
import CKernels
import Testing

@testable import LLMKernels

@Suite struct LowRankTests {
    private func random(_ inputs: Int, _ outputs: Int, _ rank: Int, _ random: inout Randomness) -> LowRankMatrix {
        LowRankMatrix(
            inputs: inputs, outputs: outputs, rank: rank, a: random.floats(rank * inputs, in: -0.3...0.3),
            b: random.floats(outputs * rank, in: -0.3...0.3))
    }

    /// Shapes around the edges of the lanes, of the groups of ranks and of the four panels.
    private static let shapes = [
        (1, 1, 1), (15, 17, 3), (16, 16, 8), (33, 63, 9), (64, 64, 4), (97, 129, 16), (576, 192, 12), (100, 200, 512),
    ]

    @Test(arguments: shapes, [false, true])
    func matchesDoubleAtEveryLevel(shape: (inputs: Int, outputs: Int, rank: Int), areHalves: Bool) {
        let (inputs, outputs, rank) = shape
        var random = Randomness()
        let matrix = self.random(inputs, outputs, rank, &random)
        let changes = LowRankChanges([matrix], areHalves: areHalves)
        #expect((changes.entry(0).pointee.is_half != 0) == areHalves)
        let x = random.floats(inputs), y = random.floats(outputs)
        var first: [Float]?
        for level in levels {
            // What lies behind a row stays as it is.
            var out = y + [42]
            level.add_low_rank(changes.entry(0), x, &out)
            #expect(out.removeLast() == 42)
            #expect(sameBytes(first ?? out, out), "seed \(random.seed)")
            first = first ?? out
        }
        for n in 0..<outputs {
            let truth = (0..<rank).reduce(Double(y[n])) { sum, j in
                let inner = (0..<inputs).reduce(0.0) { $0 + Double(matrix.a[j * inputs + $1]) * Double(x[$1]) }
                return sum + inner * Double(matrix.b[n * rank + j])
            }
            // Halves have 11 bits; the errors of many products partly cancel.
            let size = (0..<rank).reduce(0.0) { $0 + abs(Double(matrix.b[n * rank + $1])) } * Double(inputs)
            let tolerance = areHalves ? 1e-3 * size : 1e-4 * max(1, abs(truth))
            #expect(abs(Double(first![n]) - truth) < tolerance, "seed \(random.seed)")
        }
    }

    /// Numbers as small, or as large, as a float16 can't hold keep their digits; those beyond all bounds stay floats.
    @Test(arguments: [Float(1e-9), 1e-4, 1e6, 1e20]) func halvesDoNotOverflow(size: Float) {
        var random = Randomness()
        let a = random.floats(4 * 32, in: -1...1), b = random.floats(16 * 4, in: -1...1), x = random.floats(32)
        func change(_ factor: Float, areHalves: Bool) -> [Float] {
            let matrix = LowRankMatrix(
                inputs: 32, outputs: 16, rank: 4, a: a.map { $0 * factor }, b: b.map { $0 / factor })
            let changes = LowRankChanges([matrix], areHalves: areHalves)
            #expect((changes.entry(0).pointee.is_half != 0) == (areHalves && factor < 1e12))
            var y = [Float](repeating: 0, count: 16)
            kernels.add_low_rank(changes.entry(0), x, &y)
            return y
        }
        for (found, expected) in zip(change(size, areHalves: true), change(1, areHalves: false)) {
            #expect(abs(found - expected) < 0.02, "seed \(random.seed)")
        }
    }

    @Test func rowsHaveChangesOfTheirOwn() {
        var random = Randomness()
        // Three products beside one another; the second of the first adapter has no change.
        let shapes = [(40, 48), (40, 16), (40, 16)]
        func adapter(_ ranks: [Int]) -> LowRankChanges {
            LowRankChanges(
                zip(shapes, ranks).map { shape, rank in self.random(shape.0, shape.1, rank, &random) }, areHalves: true)
        }
        let adapters = [adapter([4, 0, 7]), adapter([1, 20, 2])]
        let rows = 37
        let owners = (0..<rows).map { _ in Int.random(in: -1...1, using: &random) }
        let x = AlignedBuffer(random.floats(rows * 40)), y = AlignedBuffer(random.floats(rows * 80))
        let before = y.array
        let view = x.matrix(rows: rows, columns: 40), out = y.matrix(rows: rows, columns: 80)
        let table = LowRankRows(maximumRows: 40)
        #expect(table.add(view, at: 0..<3, to: out) == nil)
        for (row, owner) in owners.enumerated() where owner >= 0 { table.assign(adapters[owner], to: row) }
        ThreadTeam(threads: 3).eachRow(rows, columns: 1 << 12, table.add(view, at: 0..<3, to: out))
        for (row, owner) in owners.enumerated() {
            var expected = Array(before[row * 80..<(row + 1) * 80])
            if owner >= 0 {
                for (place, start) in [0, 48, 64].enumerated() {
                    expected.withUnsafeMutableBufferPointer {
                        let entry = adapters[owner].entry(place)
                        if entry.pointee.rank > 0 {
                            kernels.add_low_rank(entry, view.row(row).baseAddress!, $0.baseAddress! + start)
                        }
                    }
                }
            }
            #expect(sameBytes(expected, out.row(row)), "seed \(random.seed), row \(row)")
        }
        table.clear()
        #expect(table.add(view, at: 0..<3, to: out) == nil)
    }
}
