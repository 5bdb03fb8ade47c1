// Decoding of plain floats and of ggml's 32-value blocks. Loops are written so that the compiler vectorises them:
// raw pointers, no branches, no calls.

enum Dequantize {
    /// An IEEE half as a float. Exact, also for subnormals; `Float(Float16)` is a library call on CPUs without F16C.
    @inline(__always)
    static func half(_ bits: UInt16) -> Float {
        let magnitude = UInt32(bits & 0x7FFF)
        // Exponent bias 15 → 127; infinity and NaN keep an exponent of all ones.
        let rebias: UInt32 = magnitude >= 0x7C00 ? 224 << 23 : 112 << 23
        let normal = magnitude << 13 &+ rebias
        let subnormal = (Float(Int32(bitPattern: magnitude)) * 0x1p-24).bitPattern
        let sign = UInt32(bits & 0x8000) << 16
        return Float(bitPattern: (magnitude < 0x0400 ? subnormal : normal) | sign)
    }

    @inline(__always)
    static func half(_ source: UnsafeRawPointer, _ offset: Int) -> Float {
        half(source.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    static func byte(_ source: UnsafeRawPointer, _ offset: Int) -> Int32 {
        Int32(source.load(fromByteOffset: offset, as: UInt8.self))
    }

    static func float16(_ source: UnsafeRawPointer, _ count: Int, _ target: UnsafeMutablePointer<Float>) {
        for i in 0..<count { target[i] = half(source, 2 &* i) }
    }

    static func bfloat16(_ source: UnsafeRawPointer, _ count: Int, _ target: UnsafeMutablePointer<Float>) {
        for i in 0..<count {
            target[i] = Float(bitPattern: UInt32(source.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)) << 16)
        }
    }

    /// One value of a float encoding.
    @inline(__always)
    static func float(_ source: UnsafeRawPointer, _ encoding: TensorEncoding) -> Float {
        switch encoding {
        case .float32: source.loadUnaligned(as: Float.self)
        case .float16: half(source, 0)
        case .bfloat16: Float(bitPattern: UInt32(source.loadUnaligned(as: UInt16.self)) << 16)
        default: preconditionFailure("\(encoding.name) has no single values")
        }
    }

    // Nibbles of 32-value blocks: the low half of byte i is value i, the high half is value 16 + i.

    static func q4_0(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 18
            let to = target + block &* 32
            let scale = half(from, 0)
            for i in 0..<16 {
                let pair = byte(from, 2 &+ i)
                to[i] = scale * Float(pair & 15 &- 8)
                to[16 &+ i] = scale * Float(pair >> 4 &- 8)
            }
        }
    }

    static func q4_1(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 20
            let to = target + block &* 32
            let scale = half(from, 0)
            let minimum = half(from, 2)
            for i in 0..<16 {
                let pair = byte(from, 4 &+ i)
                to[i] = scale * Float(pair & 15) + minimum
                to[16 &+ i] = scale * Float(pair >> 4) + minimum
            }
        }
    }

    static func q5_0(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 22
            let to = target + block &* 32
            let scale = half(from, 0)
            let fifth = from.loadUnaligned(fromByteOffset: 2, as: UInt32.self)
            for i in 0..<16 {
                let pair = byte(from, 6 &+ i)
                to[i] = scale * Float(pair & 15 | fifthBit(fifth, i) &- 16)
                to[16 &+ i] = scale * Float(pair >> 4 | fifthBit(fifth, 16 &+ i) &- 16)
            }
        }
    }

    static func q5_1(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 24
            let to = target + block &* 32
            let scale = half(from, 0)
            let minimum = half(from, 2)
            let fifth = from.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            for i in 0..<16 {
                let pair = byte(from, 8 &+ i)
                to[i] = scale * Float(pair & 15 | fifthBit(fifth, i)) + minimum
                to[16 &+ i] = scale * Float(pair >> 4 | fifthBit(fifth, 16 &+ i)) + minimum
            }
        }
    }

    static func q8_0(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 34
            let to = target + block &* 32
            let scale = half(from, 0)
            for i in 0..<32 { to[i] = scale * Float(from.load(fromByteOffset: 2 &+ i, as: Int8.self)) }
        }
    }

    static func iq4_NL(_ source: UnsafeRawPointer, _ blocks: Int, _ target: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            let from = source + block &* 18
            let to = target + block &* 32
            let scale = half(from, 0)
            for i in 0..<16 {
                let pair = from.load(fromByteOffset: 2 &+ i, as: UInt8.self)
                to[i] = scale * Float(iq4Value(pair & 15))
                to[16 &+ i] = scale * Float(iq4Value(pair >> 4))
            }
        }
    }

    /// Bit `index` of a block's fifth bits, in its place above a nibble.
    @inline(__always)
    static func fifthBit(_ bits: UInt32, _ index: Int) -> Int32 {
        Int32(bitPattern: bits &>> UInt32(truncatingIfNeeded: index) & 1) << 4
    }

    /// The sixteen levels of IQ4_NL, dense around zero.
    @inline(__always)
    static func iq4Value(_ code: UInt8) -> Int8 {
        let levels: SIMD16<Int8> = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
        return levels[Int(code)]
    }
}
