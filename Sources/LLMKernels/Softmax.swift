// One row of logits: softmax, log-sum-exp, first maximum.
import CKernels

/// out = e^(x - max) / Σ e^(x - max). out may be x.
package func softmax(_ x: UnsafeBufferPointer<Float>, into out: UnsafeMutableBufferPointer<Float>) {
    precondition(x.count > 0 && x.count == out.count)
    kernels.softmax(x.baseAddress, out.baseAddress, Int64(x.count))
}

/// ln Σ e^x
package func logSumExp(_ x: UnsafeBufferPointer<Float>) -> Float {
    precondition(x.count > 0)
    return kernels.log_sum_exp(x.baseAddress, Int64(x.count))
}

/// The index of the first maximum. NaN never wins; 0 if nothing is comparable.
package func argmax(_ x: UnsafeBufferPointer<Float>) -> Int {
    precondition(x.count > 0)
    return Int(kernels.argmax(x.baseAddress, Int64(x.count)))
}
