// Conversions between float and the 16-bit formats, round to nearest even; subnormals, infinities and NaN kept.
import CKernels

package func convert(half x: UnsafeBufferPointer<UInt16>, to out: UnsafeMutableBufferPointer<Float>) {
    precondition(x.count == out.count)
    kernels.half_to_float(x.baseAddress, out.baseAddress, Int64(x.count))
}

package func convert(bfloat x: UnsafeBufferPointer<UInt16>, to out: UnsafeMutableBufferPointer<Float>) {
    precondition(x.count == out.count)
    kernels.bfloat_to_float(x.baseAddress, out.baseAddress, Int64(x.count))
}

package func convert(_ x: UnsafeBufferPointer<Float>, toHalf out: UnsafeMutableBufferPointer<UInt16>) {
    precondition(x.count == out.count)
    kernels.float_to_half(x.baseAddress, out.baseAddress, Int64(x.count))
}

package func convert(_ x: UnsafeBufferPointer<Float>, toBfloat out: UnsafeMutableBufferPointer<UInt16>) {
    precondition(x.count == out.count)
    kernels.float_to_bfloat(x.baseAddress, out.baseAddress, Int64(x.count))
}
