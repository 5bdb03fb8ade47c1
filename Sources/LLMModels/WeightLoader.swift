// From a model file to packed weights, row by row and in parallel: the model is never held twice.
import LLMKernels
import Synchronization

/// In which precision a model computes.
package enum ComputePrecision: String, Sendable, CaseIterable {
    /// As the file stores it: integers stay integers, 16-bit floats stay 16 bits wide, keys and values are float16.
    case served
    /// Every weight as float32, keys and values too: what the served path is compared with.
    case reference
}

struct WeightLoader {
    let source: any ModelSource
    let precision: ComputePrecision
    let team: ThreadTeam

    func vector(_ name: TensorName) throws(ModelError) -> AlignedBuffer<Float> {
        try vector(try source.tensor(name))
    }

    func optionalVector(_ name: TensorName) throws(ModelError) -> AlignedBuffer<Float>? {
        guard let tensor = try source.optionalTensor(name) else { return nil }
        return try vector(tensor)
    }

    private func vector(_ tensor: SourceTensor) throws(ModelError) -> AlignedBuffer<Float> {
        let values = tensor.floats()
        guard values.withUnsafeBufferPointer({ HostileNumbers.areBelow(.greatestFiniteMagnitude, $0) }) else {
            throw notFinite(tensor, row: nil)
        }
        return AlignedBuffer(values)
    }

    func norm(_ weight: TensorName, _ bias: TensorName? = nil) throws(ModelError) -> Norm {
        var offset: AlignedBuffer<Float>?
        if let bias { offset = try optionalVector(bias) }
        return Norm(weight: try vector(weight), bias: offset, epsilon: source.configuration.normEpsilon)
    }

    func optionalNorm(_ weight: TensorName) throws(ModelError) -> Norm? {
        guard let values = try optionalVector(weight) else { return nil }
        return Norm(weight: values, bias: nil, epsilon: source.configuration.normEpsilon)
    }

    func linear(_ weight: TensorName, _ bias: TensorName) throws(ModelError) -> Linear {
        Linear(weights: try matrix(weight), bias: try optionalVector(bias))
    }

    func matrix(_ name: TensorName) throws(ModelError) -> PackedMatrix {
        let tensor = try source.tensor(name)
        let packed: (matrix: PackedMatrix, brokenRow: Int?)
        do throws(KernelError) {
            packed = try pack(tensor)
        } catch {
            throw .unsupported(path: source.path, field: "tensor \"\(tensor.name)\"", reason: "\(error)")
        }
        if let row = packed.brokenRow { throw notFinite(tensor, row: row) }
        return packed.matrix
    }

    private func notFinite(_ tensor: SourceTensor, row: Int?) -> ModelError {
        .invalidFile(
            path: source.path, field: "tensor \"\(tensor.name)\"" + (row.map { ", row \($0)" } ?? ""),
            reason: "holds NaN, infinity, or a number beyond what can be computed with")
    }

    // MARK: Packing

    private func pack(_ tensor: SourceTensor) throws(KernelError) -> (matrix: PackedMatrix, brokenRow: Int?) {
        let exact = precision == .reference ? .none : tensor.exactForm
        switch exact {
        case .int4:
            return try fill(tensor, .int4) { row, builder, scratch in
                tensor.copyRow(row, int4: scratch.bytes, scales: scratch.scales, minimums: scratch.minimums)
                builder.pointee.setRow(
                    row, int4: .init(scratch.bytes), scales: .init(scratch.scales), minimums: .init(scratch.minimums))
                return HostileNumbers.areHalves(scratch.scales) && HostileNumbers.areHalves(scratch.minimums)
            }
        case .int8, .int8WithMinimums:
            let minimums = exact == .int8WithMinimums
            return try fill(tensor, .int8, minimums: minimums) { row, builder, scratch in
                scratch.bytes.withMemoryRebound(to: Int8.self) { values in
                    tensor.copyRow(
                        row, int8: values, scales: scratch.scales, minimums: minimums ? scratch.minimums : nil)
                    builder.pointee.setRow(
                        row, int8: .init(values), scales: .init(scratch.scales),
                        minimums: minimums ? .init(scratch.minimums) : nil)
                }
                return HostileNumbers.areHalves(scratch.scales)
                    && (!minimums || HostileNumbers.areHalves(scratch.minimums))
            }
        case .none:
            let layout = floatLayout(of: tensor)
            // int8 has a scale of 16 bits per block, a 127th of its largest value.
            let limit = layout == .int8 ? 127 * HostileNumbers.largestHalf : .greatestFiniteMagnitude
            return try fill(tensor, layout) { row, builder, scratch in
                tensor.copyRow(row, to: scratch.floats)
                builder.pointee.setRow(row, floats: .init(scratch.floats))
                return HostileNumbers.areBelow(limit, .init(scratch.floats))
            }
        }
    }

    /// Where integers don't fit exactly, the file's floats, or bytes with a scale per 32 values: finer than the 2 to 6 bits
    /// that those formats have.
    private func floatLayout(of tensor: SourceTensor) -> WeightLayout {
        if precision == .reference { return .float32 }
        return switch tensor.encoding {
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        default: .int8
        }
    }

    /// - Parameter setRow: returns whether all numbers of the row can be computed with.
    /// - Returns: also the first row with numbers that can't.
    private func fill(
        _ tensor: SourceTensor, _ layout: WeightLayout, minimums: Bool = false,
        _ setRow: (Int, UnsafeMutablePointer<PackedMatrixBuilder>, RowScratch) -> Bool
    ) throws(KernelError) -> (matrix: PackedMatrix, brokenRow: Int?) {
        var builder = try PackedMatrixBuilder(
            rows: tensor.rows, columns: tensor.columns, layout: layout, minimums: minimums)
        let broken = Atomic(Int.max)
        withUnsafeMutablePointer(to: &builder) { builder in
            // Whole panels for each part: rows of a panel share cache lines.
            let panels = (tensor.rows + 15) / 16
            // Small ones: what stays of the file in memory meanwhile is of no account.
            let parts = min(panels, max(team.count * 8, tensor.byteCount >> 21), 1 << 14)
            team.run(parts: parts) { part, _ in
                let scratch = RowScratch(columns: tensor.columns)
                let rows = panels * part / parts * 16..<min(tensor.rows, panels * (part + 1) / parts * 16)
                for row in rows where !setRow(row, builder, scratch) { broken.min(row, ordering: .relaxed) }
                tensor.forget(rows)
            }
        }
        let row = broken.load(ordering: .relaxed)
        return (builder.finish(), row == .max ? nil : row)
    }
}

/// What files may hold and nobody can compute with.
enum HostileNumbers {
    /// Scales and minimums are kept as float16.
    static let largestHalf: Float = 65504

    /// Written so that NaN fails, and without a branch per value.
    static func areBelow(_ limit: Float, _ values: UnsafeBufferPointer<Float>) -> Bool {
        var count = 0
        for value in values { count &+= abs(value) <= limit ? 1 : 0 }
        return count == values.count
    }

    static func areHalves(_ values: UnsafeMutableBufferPointer<Float>) -> Bool { areBelow(largestHalf, .init(values)) }
}

/// One row between the file and its panel.
private final class RowScratch {
    let floats: UnsafeMutableBufferPointer<Float>
    let bytes: UnsafeMutableBufferPointer<UInt8>
    let scales: UnsafeMutableBufferPointer<Float>
    let minimums: UnsafeMutableBufferPointer<Float>

    init(columns: Int) {
        floats = .allocate(capacity: columns)
        bytes = .allocate(capacity: columns)
        scales = .allocate(capacity: columns / 32)
        minimums = .allocate(capacity: columns / 32)
        floats.initialize(repeating: 0)
        bytes.initialize(repeating: 0)
        scales.initialize(repeating: 0)
        minimums.initialize(repeating: 0)
    }

    deinit {
        floats.deallocate()
        bytes.deallocate()
        scales.deallocate()
        minimums.deallocate()
    }
}
