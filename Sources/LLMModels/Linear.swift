// y = x·Wᵀ + b, and the two norms: the layers that hold weights.
import LLMKernels

/// A packed matrix [outputs, inputs] with its bias.
struct Linear: Sendable {
    let weights: PackedMatrix
    let bias: AlignedBuffer<Float>?

    /// Inputs have to be quantised first.
    var needsQuantizedInput: Bool { weights.layout.isInteger }

    /// For an input that was quantised, if any of the matrices that read it needs that.
    func apply(
        _ x: MatrixView, into y: MatrixView, accumulate: Bool = false, _ quantized: QuantizedRows, _ team: ThreadTeam
    ) {
        matmul(x, weights, into: y, bias: bias, accumulate: accumulate, reusing: quantized, team: team)
    }
}

extension QuantizedRows {
    /// Quantises x unless no matrix that reads it asks for that. (Not variadic: that would be an array for every call.)
    func prepare(
        _ x: MatrixView, for first: Linear?, _ second: Linear? = nil, _ third: Linear? = nil, _ fourth: Linear? = nil,
        team: ThreadTeam
    ) {
        func asks(_ reader: Linear?) -> Bool { reader?.needsQuantizedInput ?? false }
        if asks(first) || asks(second) || asks(third) || asks(fourth) { quantize(x, team: team) }
    }
}

/// RMS norm, or layer norm when there is a bias (GPT-2).
struct Norm: Sendable {
    let weight: AlignedBuffer<Float>
    let bias: AlignedBuffer<Float>?
    let epsilon: Float

    func apply(_ x: MatrixView, into out: MatrixView, _ team: ThreadTeam) {
        if let bias {
            layerNorm(x, weight: weight, bias: bias, epsilon: epsilon, into: out, team: team)
        } else {
            rmsNorm(x, weight: weight, epsilon: epsilon, into: out, team: team)
        }
    }
}
