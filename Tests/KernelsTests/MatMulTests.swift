import CKernels
import LLMKernels
import Testing

struct LayoutCase: CustomTestStringConvertible, Sendable {
    let layout: WeightLayout
    let minimums: Bool
    var testDescription: String { layout.rawValue + (minimums ? " with minimums" : "") }

    static let all: [LayoutCase] = [
        .init(layout: .float32, minimums: false), .init(layout: .float16, minimums: false),
        .init(layout: .bfloat16, minimums: false), .init(layout: .int8, minimums: false),
        .init(layout: .int8, minimums: true), .init(layout: .int4, minimums: true),
    ]
}

@Suite struct MatMulTests {
    /// Quantises and multiplies with the functions of one level, over all rows and panels at once.
    private func product(
        _ table: ck_kernels, _ x: [Float], rows: Int, _ matrix: PackedMatrix, bias: [Float]?, old: [Float]?
    ) -> [Float] {
        let blocks = matrix.columns / 32 + 1
        let values = AlignedBuffer<Int8>(count: rows * matrix.columns)
        let scales = AlignedBuffer<Float>(count: rows * blocks), sums = AlignedBuffer<Float>(count: rows * blocks)
        let offsets = AlignedBuffer<Int32>(count: rows * blocks)
        var quantized = ck_quantized(
            rows: Int64(rows), values: values.base, scales: scales.base, sums: sums.base, offsets: offsets.base)
        let y = AlignedBuffer(old ?? [Float](repeating: .nan, count: rows * matrix.rows))
        let input = AlignedBuffer(x), biases = AlignedBuffer(bias ?? [0])
        var job = ck_matmul(
            weights: matrix.matrix, x: input.base, x_stride: Int64(matrix.columns), quantized: quantized, y: y.base,
            y_stride: Int64(matrix.rows), bias: bias == nil ? nil : UnsafePointer(biases.base),
            accumulate: old == nil ? 0 : 1)
        let panels = Int64((matrix.rows + 15) / 16)
        if matrix.layout.isInteger {
            table.quantize_rows(
                input.base, Int64(matrix.columns), 0, Int64(rows), Int64(matrix.columns), &quantized)
            table.matmul_integer(&job, 0, Int64(rows), 0, panels)
        } else {
            table.matmul_float(&job, 0, Int64(rows), 0, panels)
        }
        return y.array
    }

    @Test(arguments: LayoutCase.all)
    func everyLevelGivesTheSameBytesAndTheRightNumbers(_ layout: LayoutCase) throws {
        var random = Randomness()
        for trial in 0..<80 {
            let rows = trial < 20 ? trial + 1 : Int.random(in: 1...70, using: &random)
            let blocks = [1, 2, 3, 18, 48, 64][trial % 6]
            let whole = layout.layout.isInteger || trial % 2 == 0
            let columns = whole ? blocks * 32 : Int.random(in: 1...700, using: &random)
            let outputs = Int.random(in: 1...150, using: &random)
            let (matrix, weights) = try randomMatrix(
                rows: outputs, columns: columns, layout: layout.layout, minimums: layout.minimums, random: &random)
            let x = random.floats(rows * columns)
            let bias = trial % 3 == 0 ? random.floats(outputs) : nil
            let old = trial % 4 == 1 ? random.floats(rows * outputs) : nil
            let expected = product(levels[0], x, rows: rows, matrix, bias: bias, old: old)
            for table in levels.dropFirst() {
                let got = product(table, x, rows: rows, matrix, bias: bias, old: old)
                #expect(
                    sameBytes(got, expected),
                    "level \(table.level.rawValue) M \(rows) K \(columns) N \(outputs) seed \(random.seed)")
            }
            if trial % 4 != 0 { continue }
            for m in 0..<rows {
                for n in 0..<outputs {
                    var truth = Double(bias?[n] ?? 0) + Double(old?[m * outputs + n] ?? 0), size = 1.0
                    for k in 0..<columns {
                        let term = Double(x[m * columns + k]) * Double(weights[n * columns + k])
                        truth += term
                        size += term * term
                    }
                    // int8 inputs are off by up to 1/254 of a block's maximum each, at random.
                    let tolerance = (layout.layout.isInteger ? 0.03 : 1e-5) * size.squareRoot()
                    let off = abs(Double(expected[m * outputs + n]) - truth)
                    #expect(off < tolerance, "M \(rows) K \(columns) N \(outputs) at \(m), \(n), seed \(random.seed)")
                }
            }
        }
    }

    @Test(arguments: LayoutCase.all)
    func aRowDoesNotDependOnItsCompanyOrOnThreads(_ layout: LayoutCase) throws {
        var random = Randomness()
        let teams = [1, 2, 3].map(ThreadTeam.init(threads:))
        for (rows, columns, outputs) in [(1, 64, 4000), (5, 576, 130), (70, 96, 77), (230, 320, 50), (900, 64, 33)] {
            let (matrix, _) = try randomMatrix(
                rows: outputs, columns: columns, layout: layout.layout, minimums: layout.minimums, random: &random)
            let x = AlignedBuffer(random.floats(rows * columns)).matrix(rows: rows, columns: columns)
            let held = AlignedBuffer<Float>(count: rows * columns)
            held.base.update(from: x.base, count: rows * columns)
            let input = held.matrix(rows: rows, columns: columns)
            let scratch = QuantizedRows(maximumRows: rows, maximumColumns: columns)
            var results: [[Float]] = []
            func product(_ x: MatrixView, _ team: ThreadTeam, copies: Int = 1) -> [Float] {
                if matrix.layout.isInteger { team.eachRow(x.rows, columns: columns, scratch.quantize(x)) }
                let outputs = (0..<copies).map { _ in AlignedBuffer<Float>(count: x.rows * outputs) }
                let products = outputs.map {
                    MatMulOutput(matrix, into: $0.matrix(rows: x.rows, columns: matrix.rows))
                }
                matmul(
                    x, scratch, products[0], copies > 1 ? products[1] : nil, copies > 2 ? products[2] : nil,
                    team: team)
                #expect(outputs.allSatisfy { sameBytes($0.array, outputs[0].array) }, "seed \(random.seed)")
                return outputs[0].array
            }
            // Alone, and beside one and two other matrices.
            for (copies, team) in zip(1...3, teams) { results.append(product(input, team, copies: copies)) }
            #expect(sameBytes(results[0], results[1]) && sameBytes(results[0], results[2]), "seed \(random.seed)")
            for row in [0, rows / 2, rows - 1] {
                let alone = product(input.rows(row..<row + 1), teams[1])
                #expect(sameBytes(alone, results[0][row * outputs..<(row + 1) * outputs]), "seed \(random.seed)")
            }
        }
    }

    /// All weights and inputs at their ends: nothing saturates on the way.
    @Test(arguments: [-128, -127, -1, 0, 1, 127] as [Int8], [-1, 1] as [Float])
    func extremesOfInt8AreExact(weight: Int8, sign: Float) throws {
        let columns = 96
        var builder = try PackedMatrixBuilder(rows: 17, columns: columns, layout: .int8)
        for row in 0..<17 {
            [Int8](repeating: weight, count: columns).withUnsafeBufferPointer { q in
                [1, 1, 1].withUnsafeBufferPointer { builder.setRow(row, int8: q, scales: $0) }
            }
        }
        let matrix = builder.finish()
        for table in levels {
            for rows in [1, 2, 7] {
                let x = [Float](repeating: 127 * sign, count: rows * columns)
                let y = product(table, x, rows: rows, matrix, bias: nil, old: nil)
                #expect(y.allSatisfy { $0 == Float(weight) * 127 * sign * Float(columns) })
            }
        }
    }

    @Test(arguments: [0, 1, 15] as [UInt8], [-1, 1] as [Float])
    func extremesOfInt4AreExact(weight: UInt8, sign: Float) throws {
        let columns = 96
        var builder = try PackedMatrixBuilder(rows: 17, columns: columns, layout: .int4)
        for row in 0..<17 {
            [UInt8](repeating: weight, count: columns).withUnsafeBufferPointer { q in
                [1, 1, 1].withUnsafeBufferPointer { scales in
                    [-8, 0, 4].withUnsafeBufferPointer { builder.setRow(row, int4: q, scales: scales, minimums: $0) }
                }
            }
        }
        let matrix = builder.finish()
        for table in levels {
            for rows in [1, 2, 7] {
                let x = [Float](repeating: 127 * sign, count: rows * columns)
                let y = product(table, x, rows: rows, matrix, bias: nil, old: nil)
                #expect(y.allSatisfy { $0 == (Float(weight) * 96 - 4 * 32) * 127 * sign })
            }
        }
    }

    @Test func badInputsPoisonTheirRowOnly() throws {
        var random = Randomness()
        for layout in LayoutCase.all {
            let (matrix, _) = try randomMatrix(
                rows: 40, columns: 64, layout: layout.layout, minimums: layout.minimums, random: &random)
            var x = random.floats(3 * 64)
            x[64 + 5] = .nan
            x[64 + 40] = .infinity
            for table in levels {
                let y = product(table, x, rows: 3, matrix, bias: nil, old: nil)
                #expect(y[0..<40].allSatisfy { $0.isFinite } && y[80...].allSatisfy { $0.isFinite })
                #expect(y[40..<80].allSatisfy { $0.isNaN }, "\(layout.testDescription)")
            }
        }
    }

    @Test func packsAndReadsBack() throws {
        var random = Randomness()
        let values = random.floats(19 * 96, in: -1...1)
        for (layout, tolerance) in [(WeightLayout.float32, 0), (.float16, 5e-4), (.bfloat16, 4e-3), (.int8, 4.1e-3)] {
            var builder = try PackedMatrixBuilder(rows: 19, columns: 96, layout: layout)
            values.withUnsafeBufferPointer { values in
                for row in 0..<19 { builder.setRow(row, floats: .init(rebasing: values[row * 96..<(row + 1) * 96])) }
            }
            let matrix = builder.finish()
            var row = [Float](repeating: 0, count: 96)
            for n in 0..<19 {
                row.withUnsafeMutableBufferPointer { matrix.copyRow(n, to: $0) }
                for (a, b) in zip(row, values[n * 96..<(n + 1) * 96]) {
                    #expect(abs(a - b) <= Float(tolerance), "\(layout) seed \(random.seed)")
                }
            }
        }
    }

    @Test func refusesWhatCannotBePacked() {
        #expect(throws: KernelError.columnsNotInBlocks(layout: .int4, columns: 100)) {
            _ = try PackedMatrixBuilder(rows: 4, columns: 100, layout: .int4).finish()
        }
        #expect(throws: KernelError.shapeOutOfRange(rows: 0, columns: 32)) {
            _ = try PackedMatrixBuilder(rows: 0, columns: 32, layout: .float32).finish()
        }
        #expect(throws: KernelError.shapeOutOfRange(rows: 1 << 31, columns: 1 << 31)) {
            _ = try PackedMatrixBuilder(rows: 1 << 31, columns: 1 << 31, layout: .float32).finish()
        }
    }
}
