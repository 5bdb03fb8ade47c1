// Every encoding against the values of the gguf Python package, bit for bit, and the integer forms against the floats.
import LLMModels
import Testing

@Suite struct DequantizeTests {
    /// Raw blocks, then the float32 values of the reference.
    private func golden(_ encoding: TensorEncoding) throws -> (raw: [UInt8], values: [UInt32]) {
        let bytes = try GoldenFiles.bytes("encodings/\(encoding.name).bin")
        let perBlock = encoding.blockBytes + 4 * encoding.blockSize
        let blocks = bytes.count / perBlock
        try #require(blocks > 0 && bytes.count == blocks * perBlock)
        let split = blocks * encoding.blockBytes
        let values = bytes[split...].withUnsafeBytes { $0.bindMemory(to: UInt32.self).map(\.self) }
        return (Array(bytes[..<split]), values)
    }

    @Test(arguments: TensorEncoding.allCases)
    func equalsTheReferenceBitForBit(_ encoding: TensorEncoding) throws {
        let (raw, expected) = try golden(encoding)
        // One byte further: blocks of a file are aligned to nothing.
        let shifted = [0] + raw
        let decoded = [Float](unsafeUninitializedCapacity: expected.count) { target, count in
            shifted.withUnsafeBytes {
                encoding.dequantize($0.baseAddress! + 1, count: expected.count, to: target.baseAddress!)
            }
            count = expected.count
        }
        #expect(decoded.map(\.bitPattern) == expected)
    }

    @Test func everyHalf() {
        let halves = (0...UInt16.max).map(\.self)
        let decoded = [Float](unsafeUninitializedCapacity: halves.count) { target, count in
            halves.withUnsafeBytes {
                TensorEncoding.float16.dequantize($0.baseAddress!, count: halves.count, to: target.baseAddress!)
            }
            count = halves.count
        }
        for (half, float) in zip(halves, decoded) {
            let expected = Float(Float16(bitPattern: half))
            #expect(expected.isNaN ? float.isNaN : float.bitPattern == expected.bitPattern, "half \(half)")
        }
    }

    @Test(arguments: TensorEncoding.allCases)
    func integerFormsGiveTheSameFloats(_ encoding: TensorEncoding) throws {
        let (raw, expected) = try golden(encoding)
        let columns = encoding.blockSize * 2
        let rows = expected.count / columns
        let folder = try TemporaryFolder()
        var writer = GGUFWriter()
        writer.add("w", shape: [rows, columns], encoding: encoding) { raw }
        try writer.write(to: folder.path + "/w.gguf")
        let file = try GGUFFile(folder.path + "/w.gguf")
        let tensor = try #require(file.sourceTensor("w"))
        #expect(GoldenFiles.bits(tensor) == expected)
        for row in 0..<rows {
            guard let rebuilt = rebuilt(tensor, row) else { return }
            // Where minimum and scaled value cancel, a sum may differ from the reference's difference in the sign of zero.
            let reference = expected[row * columns..<(row + 1) * columns].map { Float(bitPattern: $0) }
            #expect(rebuilt == reference)
        }
    }

    /// scale·q + minimum; nil for an encoding without an exact form.
    private func rebuilt(_ tensor: SourceTensor, _ row: Int) -> [Float]? {
        let columns = tensor.columns
        var scales = [Float](repeating: .nan, count: columns / 32)
        var minimums = scales
        var unsigned = [UInt8](repeating: 255, count: columns)
        var signed = [Int8](repeating: -128, count: columns)
        return scales.withUnsafeMutableBufferPointer { scales in
            minimums.withUnsafeMutableBufferPointer { minimums in
                switch tensor.exactForm {
                case .none: return nil
                case .int4:
                    unsigned.withUnsafeMutableBufferPointer {
                        tensor.copyRow(row, int4: $0, scales: scales, minimums: minimums)
                    }
                    return unsigned.enumerated().map { index, value in
                        value > 15 ? .nan : scales[index / 32] * Float(value) + minimums[index / 32]
                    }
                case .int8, .int8WithMinimums:
                    let hasMinimums = tensor.exactForm == .int8WithMinimums
                    signed.withUnsafeMutableBufferPointer {
                        tensor.copyRow(row, int8: $0, scales: scales, minimums: hasMinimums ? minimums : nil)
                    }
                    return signed.enumerated().map { index, value in
                        let scaled = scales[index / 32] * Float(value)
                        return hasMinimums ? scaled + minimums[index / 32] : scaled
                    }
                }
            }
        }
    }

    @Test func exactForms() {
        let forms = Dictionary(uniqueKeysWithValues: TensorEncoding.allCases.map { ($0, $0.exactForm) })
        #expect(Set(forms.filter { $0.value == .int4 }.keys) == [.q4_0, .q4_1, .q4_K])
        #expect(Set(forms.filter { $0.value == .int8 }.keys) == [.q8_0, .q5_0, .iq4_NL])
        #expect(Set(forms.filter { $0.value == .int8WithMinimums }.keys) == [.q5_1, .q5_K])
    }

    @Test func rowsMustBeWholeBlocks() {
        #expect(TensorEncoding.q4_K.rowBytes(256) == 144)
        #expect(TensorEncoding.q4_K.rowBytes(128) == nil)
        #expect(TensorEncoding.float32.rowBytes(.max) == nil)
        #expect(TensorEncoding.q8_0.rowBytes(-32) == nil)
    }
}
