// Weights to the blocks of 32 that GGUF files hold.
import CKernels

/// Q8_0: 34 bytes a block, scale = max|x| / 127, halves rounded away from zero, as ggml does. x: finite, whole blocks.
package func encodeQ8_0(_ x: UnsafeBufferPointer<Float>, to out: UnsafeMutableRawBufferPointer) {
    precondition(x.count % 32 == 0 && out.count == x.count / 32 * 34)
    kernels.encode_q8_0(x.baseAddress, out.baseAddress, Int64(x.count / 32))
}

/// Q4_1: 20 bytes a block. Of several widths of a step the one that loses least, by the sum of squared errors.
package func encodeQ4_1(_ x: UnsafeBufferPointer<Float>, to out: UnsafeMutableRawBufferPointer) {
    precondition(x.count % 32 == 0 && out.count == x.count / 32 * 20)
    kernels.encode_q4_1(x.baseAddress, out.baseAddress, Int64(x.count / 32))
}
