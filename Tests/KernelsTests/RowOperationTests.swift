import Foundation
import LLMKernels
import Testing

@Suite struct RowOperationTests {
    private let team = ThreadTeam(threads: 2)

    @Test func normsMatchDouble() {
        var random = Randomness()
        for (rows, columns) in [(3, 7), (1, 576), (40, 1000)] {
            let x = AlignedBuffer(random.floats(rows * columns)), out = AlignedBuffer<Float>(count: rows * columns)
            let weight = AlignedBuffer(random.floats(columns)), bias = AlignedBuffer(random.floats(columns))
            let view = x.matrix(rows: rows, columns: columns), result = out.matrix(rows: rows, columns: columns)
            team.eachRow(rows, columns: columns, .rmsNorm(view, weight: weight, epsilon: 1e-5, into: result))
            for row in 0..<rows {
                let values = view.row(row).map(Double.init), n = Double(columns)
                let root = (values.reduce(0) { $0 + $1 * $1 } / n + 1e-5).squareRoot()
                for (i, value) in values.enumerated() {
                    let truth = value / root * Double(weight.base[i])
                    #expect(abs(Double(result.row(row)[i]) - truth) < 1e-5, "seed \(random.seed)")
                }
            }
            team.eachRow(
                rows, columns: columns, .layerNorm(view, weight: weight, bias: bias, epsilon: 1e-5, into: result))
            for row in 0..<rows {
                let values = view.row(row).map(Double.init), n = Double(columns)
                let mean = values.reduce(0, +) / n
                let root = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n + 1e-5).squareRoot()
                for (i, value) in values.enumerated() {
                    let truth = (value - mean) / root * Double(weight.base[i]) + Double(bias.base[i])
                    #expect(abs(Double(result.row(row)[i]) - truth) < 2e-5, "seed \(random.seed)")
                }
            }
        }
    }

    /// A norm over heads equals the norm of each head alone, in place and across threads.
    @Test func normsByHead() {
        var random = Randomness()
        let x = AlignedBuffer(random.floats(64 * 4 * 32)), weight = AlignedBuffer(random.floats(32))
        let byHead = AlignedBuffer<Float>(count: x.count)
        ThreadTeam(threads: 1).eachRow(
            256, columns: 32,
            .rmsNorm(
                x.matrix(rows: 256, columns: 32), weight: weight, epsilon: 1e-6,
                into: byHead.matrix(rows: 256, columns: 32)))
        let view = x.matrix(rows: 64, columns: 128)
        team.eachRow(64, columns: 128, .rmsNorm(view, weight: weight, epsilon: 1e-6, into: view))
        #expect(sameBytes(x.array, byHead.array))
    }

    @Test(arguments: [RoPEStyle.halves, .interleaved], [16, 10])
    func rotates(style: RoPEStyle, dimensions: Int) {
        var random = Randomness()
        let table = RoPETable(
            frequencies: RoPETable.frequencies(base: 10_000, dimensions: dimensions), positions: 3000)
        let original = random.floats(3 * 2 * 16), x = AlignedBuffer(original)
        // Tables grow by 1024 positions.
        let positions: [Int32] = [0, 1023, 2999]
        let rows = PagedRows()
        rows.assign(
            positions: positions, sequences: [0, 0, 0], blockTables: [Array(repeating: 0, count: 3000 / 16 + 1)])
        team.eachRow(
            3, columns: 32,
            .rotate(x.matrix(rows: 3, columns: 32), by: table, rows: rows, headSize: 16, style: style))
        for (row, position) in positions.enumerated() {
            for head in 0..<2 {
                let base = row * 32 + head * 16
                for pair in 0..<dimensions / 2 {
                    let angle = Double(position) * pow(10_000, -2 * Double(pair) / Double(dimensions))
                    let (i, j) = style == .halves ? (pair, pair + dimensions / 2) : (2 * pair, 2 * pair + 1)
                    let a = Double(original[base + i]), b = Double(original[base + j])
                    #expect(abs(Double(x.base[base + i]) - (a * cos(angle) - b * sin(angle))) < 2e-6)
                    #expect(abs(Double(x.base[base + j]) - (b * cos(angle) + a * sin(angle))) < 2e-6)
                }
                for rest in dimensions..<16 { #expect(x.base[base + rest] == original[base + rest]) }
            }
        }
    }

    @Test func softmaxMatchesDouble() {
        var random = Randomness()
        for count in [1, 5, 16, 1000, 50_000] {
            let x = random.floats(count, in: -15...15)
            var out = x
            x.withUnsafeBufferPointer { x in out.withUnsafeMutableBufferPointer { softmax(x, into: $0) } }
            let top = Double(x.max()!), sum = x.reduce(0) { $0 + exp(Double($1) - top) }
            for (value, input) in zip(out, x) {
                #expect(relativeError(value, exp(Double(input) - top) / sum) < 3e-6, "seed \(random.seed)")
            }
        }
    }

    @Test func activationsGoByRowsOfAnyStride() {
        var random = Randomness()
        let gate = AlignedBuffer(random.floats(40 * 600)), up = AlignedBuffer(random.floats(40 * 600))
        let out = AlignedBuffer<Float>(count: 40 * 600)
        let view = gate.matrix(rows: 40, columns: 500, stride: 600, offset: 0)
        team.eachRow(
            40, columns: 500,
            .siluProduct(
                view, up.matrix(rows: 40, columns: 500, stride: 600),
                into: out.matrix(rows: 40, columns: 500, stride: 600)))
        for row in 0..<40 {
            for column in 0..<600 {
                let i = row * 600 + column, x = Double(gate.base[i])
                let truth = column < 500 ? x / (1 + exp(-x)) * Double(up.base[i]) : 0
                #expect(abs(Double(out.base[i]) - truth) < 3e-6, "seed \(random.seed)")
            }
        }
        team.eachRow(40, columns: 500, .softcap(view, cap: 2, into: view))
        #expect(view.row(7).allSatisfy { abs($0) < 2 })
        team.eachRow(
            40, columns: 2500, .scale(view, by: 0.5, into: view), .add(view, view, into: view),
            .gelu(view, into: view), .geluProduct(view, view, into: view))
        #expect(view.row(7).allSatisfy { $0.isFinite })
    }
}
