// kernels: every matrix product of a model's layers in every layout, against what the machine can do at best, which is
// measured in the same run. Needs a model only for its shapes.
import ArgumentParser
import Foundation
import JSON
import LLMKernels
import LLMModels

struct KernelsBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Matrix products by layout, rows and shape: speed, and share of the peak.")

    @OptionGroup var options: ModelOptions
    @Option(help: "Rows, e.g. 1,8,32,128,512.")
    var rows = "1,8,32,128,512"
    @Option(help: "Layouts: int4, int8, float16, bfloat16, float32.")
    var layouts = "int4,int8,float16,bfloat16,float32"
    @Option(help: "How often each point is measured; the best counts, as for the peak.")
    var trials = 5
    @OptionGroup var bench: BenchOptions

    private struct Peaks {
        let float32: Double
        let int8: Double
    }

    func validate() throws {
        guard (1...1000).contains(trials) else { throw ValidationError("--trials must be 1 or more") }
    }

    func run() throws {
        let heights = try numbers(rows, of: "--rows", in: 1...65536)
        let chosen = try layouts.split(separator: ",").map { name in
            guard let layout = WeightLayout(rawValue: String(name)) else {
                throw ValidationError("--layouts: \(name) is none of int4, int8, float16, bfloat16, float32")
            }
            return layout
        }
        let configuration = try options.open().configuration
        for threads in Set([1, options.threads]).sorted() {
            let team = ThreadTeam(threads: threads)
            let peaks = measurePeaks(team)
            for shape in shapes(configuration) {
                for layout in chosen where !layout.isInteger || shape.columns % WeightLayout.blockSize == 0 {
                    let weights = try random(shape, layout)
                    let reading = MachinePeak.bytesPerSecond(of: weights.byteCount, team: team)
                    for height in heights { measure(shape, weights, rows: height, peaks, reading: reading, team) }
                }
            }
        }
    }

    private func measurePeaks(_ team: ThreadTeam) -> Peaks {
        let peaks = Peaks(
            float32: MachinePeak.operationsPerSecond(.float32, team: team),
            int8: MachinePeak.operationsPerSecond(.int8, team: team))
        bench.show(
            [
                "measure": "peak", "threads": .integer(Int64(team.count)),
                "float32_giga_operations_per_second": .number(peaks.float32 / 1e9),
                "int8_giga_operations_per_second": .number(peaks.int8 / 1e9),
            ],
            text: String(
                format: "\n%d threads, at best: float32 %.0f GOPS, int8 %.0f GOPS\n"
                    + "shape                            layout    rows     GOPS   of peak     GB/s  of reading",
                team.count, peaks.float32 / 1e9, peaks.int8 / 1e9))
        return peaks
    }

    private struct Shape {
        let name: String
        let rows: Int
        let columns: Int
    }

    /// The different matrices of a layer, and the head.
    private func shapes(_ model: ModelConfiguration) -> [Shape] {
        [
            Shape(name: "query", rows: model.querySize, columns: model.hiddenSize),
            Shape(name: "gate", rows: model.intermediateSize, columns: model.hiddenSize),
            Shape(name: "down", rows: model.hiddenSize, columns: model.intermediateSize),
            Shape(name: "head", rows: min(model.vocabularySize, 65536), columns: model.hiddenSize),
        ]
    }

    private func random(_ shape: Shape, _ layout: WeightLayout) throws -> PackedMatrix {
        var builder = try PackedMatrixBuilder(rows: shape.rows, columns: shape.columns, layout: layout)
        var state: UInt32 = 1
        let blocks = shape.columns / WeightLayout.blockSize
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: shape.columns)
        let scales = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, blocks))
        let integers = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: shape.columns)
        defer {
            values.deallocate()
            scales.deallocate()
            integers.deallocate()
        }
        scales.initialize(repeating: 0.01)
        for row in 0..<shape.rows {
            for column in 0..<shape.columns {
                state = state &* 1_664_525 &+ 1_013_904_223
                values.initializeElement(at: column, to: Float(Int32(bitPattern: state)) * 0x1p-34)
                integers.initializeElement(at: column, to: UInt8(state >> 28))
            }
            if layout == .int4 {
                let parts = UnsafeBufferPointer(rebasing: UnsafeBufferPointer(scales)[..<blocks])
                builder.setRow(row, int4: .init(integers), scales: parts, minimums: parts)
            } else {
                builder.setRow(row, floats: .init(values))
            }
        }
        return builder.finish()
    }

    /// - Parameter reading: bytes per second when as many bytes as the weights are only read.
    private func measure(
        _ shape: Shape, _ weights: PackedMatrix, rows: Int, _ peaks: Peaks, reading: Double, _ team: ThreadTeam
    ) {
        let input = AlignedBuffer<Float>(count: rows * shape.columns)
        for place in 0..<input.count { input.base[place] = Float(place % 251) / 125 - 1 }
        let output = AlignedBuffer<Float>(count: rows * shape.rows)
        let x = input.matrix(rows: rows, columns: shape.columns)
        let y = output.matrix(rows: rows, columns: shape.rows)
        let quantized = QuantizedRows(maximumRows: rows, maximumColumns: shape.columns)
        if weights.layout.isInteger { team.eachRow(rows, columns: shape.columns, quantized.quantize(x)) }
        let operations = 2.0 * Double(rows) * Double(shape.rows) * Double(shape.columns)
        // About 20 ms per trial.
        let repeats = max(1, Int(2e-2 * peaks.float32 / operations))
        var best = Double.infinity
        for _ in 0...trials {
            let start = ContinuousClock.now
            for _ in 0..<repeats { matmul(x, quantized, MatMulOutput(weights, into: y), team: team) }
            best = min(best, (ContinuousClock.now - start) / .seconds(1) / Double(repeats))
        }
        let rate = operations / best, bytes = Double(weights.byteCount) / best
        let peak = weights.layout.isInteger ? peaks.int8 : peaks.float32
        bench.show(
            [
                "measure": "matmul", "threads": .integer(Int64(team.count)), "matrix": .string(shape.name),
                "outputs": .integer(Int64(shape.rows)), "inputs": .integer(Int64(shape.columns)),
                "layout": .string(weights.layout.rawValue), "rows": .integer(Int64(rows)),
                "giga_operations_per_second": .number(rate / 1e9), "share_of_peak": .number(rate / peak),
                "weight_gigabytes_per_second": .number(bytes / 1e9),
                "share_of_reading": .number(bytes / reading),
            ],
            text: String(
                format: "%@ %@ %5d %8.1f %8.1f %% %8.1f %9.1f %%",
                "\(shape.name) \(shape.rows) × \(shape.columns)".padding(toLength: 32, withPad: " ", startingAt: 0),
                weights.layout.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0), rows, rate / 1e9,
                100 * rate / peak, bytes / 1e9, 100 * bytes / reading))
    }
}
