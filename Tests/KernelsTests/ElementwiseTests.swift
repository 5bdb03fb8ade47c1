import CKernels
import Foundation
import LLMKernels
import Testing

/// One function of the table with its operands made simple: n inputs (twice, for binary ones) to n outputs.
struct ElementwiseCase: CustomTestStringConvertible, Sendable {
    let name: String
    let apply: @Sendable (ck_kernels, [Float], [Float]) -> [Float]
    var testDescription: String { name }

    static let all: [ElementwiseCase] = [
        .init(name: "silu_product") { t, x, y in output(x.count) { t.silu_product(x, y, $0, $1) } },
        .init(name: "gelu_product") { t, x, y in output(x.count) { t.gelu_product(x, y, $0, $1) } },
        .init(name: "gelu") { t, x, _ in output(x.count) { t.gelu(x, $0, $1) } },
        .init(name: "add") { t, x, y in output(x.count) { t.add(x, y, $0, $1) } },
        .init(name: "scale") { t, x, y in output(x.count) { t.scale(x, y[0], $0, $1) } },
        .init(name: "softcap") { t, x, _ in output(x.count) { t.softcap(x, 30, $0, $1) } },
        .init(name: "exponential") { t, x, _ in output(x.count) { t.exponential(x, $0, $1) } },
        .init(name: "hyperbolic_tangent") { t, x, _ in output(x.count) { t.hyperbolic_tangent(x, $0, $1) } },
        .init(name: "softmax") { t, x, _ in output(x.count) { t.softmax(x, $0, $1) } },
        .init(name: "log_sum_exp") { t, x, _ in [t.log_sum_exp(x, Int64(x.count))] },
        .init(name: "argmax") { t, x, _ in [Float(t.argmax(x, Int64(x.count)))] },
        .init(name: "rms_norm") { t, x, y in output(x.count) { t.rms_norm(x, y, 1e-5, $0, $1) } },
        .init(name: "layer_norm") { t, x, y in output(x.count) { t.layer_norm(x, y, x, 1e-5, $0, $1) } },
        .init(name: "layer_norm without bias") { t, x, y in output(x.count) { t.layer_norm(x, y, nil, 1e-5, $0, $1) } },
        .init(name: "rope_halves") { t, x, y in rotated(x, y, t.rope_halves) },
        .init(name: "rope_interleaved") { t, x, y in rotated(x, y, t.rope_interleaved) },
        .init(name: "half") { t, x, _ in
            var half = [UInt16](repeating: 0, count: x.count)
            t.float_to_half(x, &half, Int64(x.count))
            return output(x.count) { t.half_to_float(half, $0, $1) }
        },
        .init(name: "bfloat") { t, x, _ in
            var half = [UInt16](repeating: 0, count: x.count)
            t.float_to_bfloat(x, &half, Int64(x.count))
            return output(x.count) { t.bfloat_to_float(half, $0, $1) }
        },
        .init(name: "quantize_rows") { t, x, _ in
            let columns = x.count / 32 * 32, blocks = columns / 32
            let values = AlignedBuffer<Int8>(count: columns), offsets = AlignedBuffer<Int32>(count: blocks)
            let scales = AlignedBuffer<Float>(count: blocks), sums = AlignedBuffer<Float>(count: blocks)
            var out = ck_quantized(
                rows: 1, values: values.base, scales: scales.base, sums: sums.base, offsets: offsets.base)
            t.quantize_rows(x, Int64(columns), 0, 1, Int64(columns), &out)
            return values.array.map(Float.init) + scales.array + sums.array + offsets.array.map(Float.init)
        },
    ]

    private static func output(_ count: Int, _ body: (UnsafeMutablePointer<Float>, Int64) -> Void) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            body(buffer.baseAddress!, Int64(count))
            initialized = count
        }
    }

    private static func rotated(
        _ x: [Float], _ y: [Float],
        _ kernel:
            @convention(c) (
                UnsafeMutablePointer<Float>?, Int64, Int64, Int64, UnsafePointer<Float>?, UnsafePointer<Float>?
            ) -> Void
    ) -> [Float] {
        var x = x
        let heads = x.count >= 12 ? 3 : 1, size = x.count / heads
        kernel(&x, Int64(heads), Int64(size), Int64(size / 2), y, y.reversed())
        return x
    }
}

@Suite struct ElementwiseTests {
    @Test(arguments: ElementwiseCase.all)
    func everyLevelGivesTheSameBytes(of operation: ElementwiseCase) {
        var random = Randomness()
        for trial in 0..<300 {
            let count = trial < 70 ? trial + 1 : Int.random(in: 1...3000, using: &random)
            let spread = [0.001, 1, 10, 200][trial % 4] as Float
            var x = random.floats(count, in: -spread...spread)
            let y = random.floats(count, in: -2...2)
            if trial % 7 == 3 {  // what no model should give us
                let odd: [Float] = [
                    .infinity, -.infinity, .nan, -0.0, .leastNonzeroMagnitude, -1e-30, .greatestFiniteMagnitude,
                ]
                for value in odd { x[Int.random(in: 0..<count, using: &random)] = value }
            }
            let expected = operation.apply(levels[0], x, y)
            for table in levels.dropFirst() {
                let got = operation.apply(table, x, y)
                #expect(sameBytes(got, expected), "level \(table.level.rawValue), n \(count), seed \(random.seed)")
            }
        }
    }

    @Test func exponentialIsAccurate() {
        let x = (0..<2_000_000).map { Float($0) / 2_000_000 * 175 - 87 }
        var out = x
        kernelOf(levels.count - 1).exponential(x, &out, Int64(x.count))
        var worst = 0.0
        for (x, y) in zip(x, out) { worst = max(worst, relativeError(y, exp(Double(x)))) }
        #expect(worst < 1.5e-7, "\(worst)")
        let edges: [Float] = [0, -0.0, -87.001, -1e30, -.infinity, 88.5, .infinity]
        var values = edges
        levels[0].exponential(edges, &values, Int64(edges.count))
        #expect(values == [1, 1, 0, 0, 0, .infinity, .infinity])
    }

    @Test func tangentAndActivationsAreAccurate() {
        let x = (1..<1_000_000).map { Float($0) / 1_000_000 * 24 - 12 }.filter { $0 != 0 }
        let ones = [Float](repeating: 1, count: x.count)
        var tangent = x, gelus = x, silus = x
        let table = kernelOf(levels.count - 1)
        table.hyperbolic_tangent(x, &tangent, Int64(x.count))
        table.gelu(x, &gelus, Int64(x.count))
        table.silu_product(x, ones, &silus, Int64(x.count))
        var worst = (tangent: 0.0, gelu: 0.0, silu: 0.0)
        for i in x.indices {
            let a = Double(x[i])
            let u = (2 / Double.pi).squareRoot() * (a + 0.044715 * a * a * a)
            worst.tangent = max(worst.tangent, relativeError(tangent[i], tanh(a)))
            worst.gelu = max(worst.gelu, abs(Double(gelus[i]) - a / 2 * (1 + tanh(u))) / max(1, abs(a)))
            worst.silu = max(worst.silu, relativeError(silus[i], a / (1 + exp(-a))))
        }
        #expect(worst.tangent < 4e-7 && worst.gelu < 4e-7 && worst.silu < 4e-7, "\(worst)")
    }

    @Test func conversionsMatchTheStandardTypes() {
        let halves = (0...UInt16.max).map { $0 }
        var floats = [Float](repeating: 0, count: halves.count), back = halves
        for table in levels {
            table.half_to_float(halves, &floats, Int64(halves.count))
            table.float_to_half(floats, &back, Int64(halves.count))
            for (half, float) in zip(halves, floats) {
                let truth = Float(Float16(bitPattern: half))
                #expect(float.bitPattern == truth.bitPattern || (float.isNaN && truth.isNaN))
            }
            #expect(zip(halves, back).allSatisfy { $0 == $1 || Float16(bitPattern: $0).isNaN })
        }
        var random = Randomness()
        let patterns =
            (0..<1_000_000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
            + random.floats(1_000_000, in: -7e-5...7e-5) + random.floats(100_000, in: 65_000...66_000)
        var result = [UInt16](repeating: 0, count: patterns.count)
        for table in levels {
            table.float_to_half(patterns, &result, Int64(patterns.count))
            let wrong = zip(patterns, result).first { !$0.isNaN && Float16($0).bitPattern != $1 }
            #expect(wrong == nil, "seed \(random.seed)")
            table.float_to_bfloat(patterns, &result, Int64(patterns.count))
            let far = zip(patterns, result).first { value, bits in
                let near = Float(bitPattern: UInt32(bits) << 16)
                return value.isFinite && near.isFinite && abs(near - value) > value.ulp * 32768 * 1.0001
            }
            #expect(far == nil, "seed \(random.seed)")
        }
    }

    @Test func logSumExpMatchesDouble() {
        var random = Randomness()
        for count in [1, 2, 17, 1000, 49_152, 262_144] {
            let x = random.floats(count, in: -20...20)
            let top = Double(x.max()!)
            let truth = top + log(x.reduce(0) { $0 + exp(Double($1) - top) })
            let value = x.withUnsafeBufferPointer { logSumExp($0) }
            #expect(abs(Double(value) - truth) < 3e-6, "n \(count), seed \(random.seed)")
        }
    }

    @Test func argmaxTakesTheFirstMaximum() {
        for table in levels {
            #expect(table.argmax([1, 5, 5, 2], 4) == 1)
            #expect(table.argmax([.nan, -3, .nan, -2, -2, .nan], 6) == 3)
            #expect(table.argmax([.nan, .nan], 2) == 0)
            #expect(table.argmax([-.infinity, -.infinity], 2) == 0)
            var long = [Float](repeating: 0, count: 1000)
            long[777] = 1
            long[900] = 1
            #expect(table.argmax(long, 1000) == 777)
        }
    }

    private func kernelOf(_ index: Int) -> ck_kernels { levels[index] }
}
