// y = x·Wᵀ + b, and the two norms: the layers that hold weights.
import LLMKernels

/// A packed matrix [outputs, inputs] with its bias.
struct Linear: Sendable {
    let weights: PackedMatrix
    let bias: AlignedBuffer<Float>?

    /// Inputs have to be quantised first.
    var needsQuantizedInput: Bool { weights.layout.isInteger }

    func output(_ y: MatrixView, accumulates: Bool = false) -> MatMulOutput {
        MatMulOutput(weights, into: y, bias: bias, accumulates: accumulates)
    }
}

extension QuantizedRows {
    /// Quantises x, unless no matrix that reads it asks for that. (Not variadic: that would be an array for every call.)
    func quantize(
        _ x: MatrixView, for first: Linear?, _ second: Linear? = nil, _ third: Linear? = nil, _ fourth: Linear? = nil
    ) -> RowOperation? {
        func asks(_ reader: Linear?) -> Bool { reader?.needsQuantizedInput ?? false }
        return asks(first) || asks(second) || asks(third) || asks(fourth) ? quantize(x) : nil
    }
}

/// RMS norm, or layer norm when there is a bias (GPT-2).
struct Norm: Sendable {
    let weight: AlignedBuffer<Float>
    let bias: AlignedBuffer<Float>?
    let epsilon: Float

    func callAsFunction(_ x: MatrixView, into out: MatrixView) -> RowOperation {
        if let bias {
            .layerNorm(x, weight: weight, bias: bias, epsilon: epsilon, into: out)
        } else {
            .rmsNorm(x, weight: weight, epsilon: epsilon, into: out)
        }
    }
}
