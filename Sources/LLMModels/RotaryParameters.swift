// Rotary positions: which frequencies a model turns its queries and keys with (RoFormer, arXiv 2104.09864), and the ways
// in which checkpoints stretch them for longer contexts.
import LLMKernels

package struct RotaryParameters: Sendable, Equatable {
    /// θ in θ^(-2i/n).
    package var base: Double
    /// How many of a head's values are rotated, n; the first ones. Even.
    package var rotatedSize: Int
    package var scaling: RotaryScaling

    package init(base: Double, rotatedSize: Int, scaling: RotaryScaling = .none) {
        self.base = base
        self.rotatedSize = rotatedSize
        self.scaling = scaling
    }

    /// The angle per position of each rotated pair, n/2 of them, scaling included.
    package var frequencies: [Double] {
        RoPETable.frequencies(base: base, dimensions: rotatedSize).enumerated().map { pair, frequency in
            switch scaling {
            case .none: frequency
            case .linear(let factor): frequency / factor
            case .divisors(let divisors): frequency / Double(divisors[pair])
            case .llama3(let parameters): parameters.scaled(frequency)
            }
        }
    }
}

package enum RotaryScaling: Sendable, Equatable {
    case none
    /// Every frequency divided by the same number.
    case linear(Double)
    /// Frequency i divided by number i: `rope_freqs.weight` of a GGUF file.
    case divisors([Float])
    case llama3(Llama3Scaling)
}

/// Llama 3.1: high frequencies stay, low ones are divided, those between are blended.
package struct Llama3Scaling: Sendable, Equatable {
    package var factor: Double
    package var lowFrequencyFactor: Double
    package var highFrequencyFactor: Double
    package var originalContextLength: Double

    package init(
        factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContextLength: Double
    ) {
        self.factor = factor
        self.lowFrequencyFactor = lowFrequencyFactor
        self.highFrequencyFactor = highFrequencyFactor
        self.originalContextLength = originalContextLength
    }

    func scaled(_ frequency: Double) -> Double {
        // Full turns within the original context.
        let turns = originalContextLength * frequency / (2 * .pi)
        if turns > highFrequencyFactor { return frequency }
        if turns < lowFrequencyFactor { return frequency / factor }
        let blend = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
        return (1 - blend) * frequency / factor + blend * frequency
    }
}
