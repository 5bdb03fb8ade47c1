// GGUF structure: what the gguf package writes, what our writer writes, and what is refused.
import Foundation
import LLMModels
import Testing

@Suite struct GGUFFileTests {
    @Test func writtenFilesReadBack() throws {
        let folder = try TemporaryFolder()
        var metadata = GGUFMetadata()
        let values: [(String, GGUFValue)] = [
            ("a.u8", .uint8(200)), ("a.i8", .int8(-5)), ("a.u16", .uint16(65_535)), ("a.i16", .int16(-300)),
            ("a.u32", .uint32(.max)), ("a.i32", .int32(.min)), ("a.u64", .uint64(.max)), ("a.i64", .int64(.min)),
            ("a.f32", .float32(-0.5)), ("a.f64", .float64(1e300)), ("a.yes", .bool(true)), ("a.text", .string("grün")),
            ("a.ints", .array(GGUFArray([1, -2, 3] as [Int32]))), ("a.floats", .array(GGUFArray([0.5, 2] as [Float]))),
            ("a.strings", .array(GGUFArray([[], [0xFF, 0x00], Array("é".utf8)]))),
        ]
        for (key, value) in values { metadata.set(key, value) }
        var writer = GGUFWriter(metadata: metadata)
        let small: [UInt8] = [1, 2, 3, 4]
        let large = (0..<34 * 6).map { UInt8($0) }
        writer.add("small", shape: [1], encoding: .float32) { small }
        writer.add("large", shape: [3, 64], encoding: .q8_0) { large }
        let path = folder.path + "/model.gguf"
        try writer.write(to: path)
        let file = try GGUFFile(path)
        #expect(file.version == 3 && file.alignment == 32)
        for (key, value) in values { #expect(file.metadata[key] == value, "\(key)") }
        #expect(file.metadata.keys == values.map(\.0) + ["general.alignment"])
        #expect(file.metadata["a.strings"]?.arrayValue?.byteStrings == [[], [0xFF, 0x00], Array("é".utf8)])
        #expect(file.metadata["a.ints"]?.arrayValue?.integers == [1, -2, 3])
        #expect(file.metadata["a.floats"]?.arrayValue?.floats == [0.5, 2])
        #expect(file.tensors.map(\.name) == ["small", "large"])
        #expect(file["large"]?.dimensions == [64, 3])
        for (name, bytes) in [("small", small), ("large", large)] {
            let tensor = try #require(file[name])
            #expect(tensor.offset % 32 == 0)
            #expect(file.mapping.bytes[tensor.offset..<tensor.offset + tensor.byteCount].elementsEqual(bytes))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.gguf"])
    }

    @Test func aFailedWriteLeavesNothing() throws {
        let folder = try TemporaryFolder()
        var writer = GGUFWriter()
        writer.add("w", shape: [4], encoding: .float32) { () throws(ModelError) -> [UInt8] in
            throw ModelError.missingTensor(path: "source", name: "w")
        }
        #expect(throws: ModelError.missingTensor(path: "source", name: "w")) {
            try writer.write(to: folder.path + "/model.gguf")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    /// A file of one header and at most one tensor, field by field.
    struct Draft {
        var magic = Array("GGUF".utf8)
        var version: UInt32 = 3
        var tensorCount: UInt64 = 1
        var metadata: [UInt8] = []
        var metadataCount: UInt64 = 0
        var name = Array("w".utf8)
        var dimensions: [UInt64] = [8, 2]
        var encoding: UInt32 = 0
        var offset: UInt64 = 0
        var data = [UInt8](repeating: 7, count: 64)

        var bytes: [UInt8] {
            var bytes = magic + little(version) + little(tensorCount) + little(metadataCount) + metadata
            bytes += little(UInt64(name.count)) + name + little(UInt32(dimensions.count))
            bytes += dimensions.flatMap { little($0) } + little(encoding) + little(offset)
            bytes += [UInt8](repeating: 0, count: -bytes.count & 31)
            return bytes + data
        }

        mutating func key(_ name: String, _ type: UInt32, _ value: [UInt8]) {
            metadata += little(UInt64(name.utf8.count)) + Array(name.utf8) + little(type) + value
            metadataCount += 1
        }
    }

    private static func message(_ change: (inout Draft) -> Void) throws -> String {
        var draft = Draft()
        change(&draft)
        let folder = try TemporaryFolder()
        let path = try folder.write("draft.gguf", draft.bytes)
        do {
            _ = try GGUFFile(path)
            return "accepted"
        } catch {
            let text = error.description
            #expect(text.hasPrefix(path + ": "))
            return String(text.dropFirst(path.count + 2))
        }
    }

    @Test func aDraftIsAFile() throws {
        #expect(try Self.message { _ in } == "accepted")
        #expect(try Self.message { $0.version = 2 } == "accepted")
        #expect(try Self.message { $0.data += [1, 2, 3] } == "accepted")
    }

    @Test func headers() throws {
        #expect(try Self.message { $0.magic = Array("GGML".utf8) } == "magic: not a GGUF file")
        #expect(try Self.message { $0.version = 1 } == "version: 1 is not supported; 2 and 3 are")
        #expect(try Self.message { $0.version = 3 << 24 } == "version: big-endian files are not supported")
        #expect(try Self.message { $0.tensorCount = .max }.hasPrefix("tensor count: 18446744073709551615 is more"))
        #expect(try Self.message { $0.metadataCount = 1 << 40 }.hasPrefix("metadata count: "))
        #expect(try Self.message { $0.tensorCount = 2 } == #"tensor "": 0 dimensions; 1 to 4 are allowed"#)
    }

    @Test func metadata() throws {
        #expect(try Self.message { $0.key("k", 99, []) } == #"key "k": unknown value type 99"#)
        #expect(try Self.message { $0.key("k", 7, [2]) } == #"key "k": a boolean is 0 or 1, not 2"#)
        #expect(try Self.message { $0.key("k", 8, little(UInt64.max)) }.hasPrefix(#"key "k": a string of 18446"#))
        #expect(try Self.message { $0.key("k", 8, little(UInt64(1)) + [0xFF]) }.contains("UTF-8"))
        let nested = little(UInt32(9)) + little(UInt64(1))
        #expect(try Self.message { $0.key("k", 9, nested) }.contains("arrays inside arrays"))
        for type: UInt32 in [0, 8, 12] {
            let huge = little(type) + little(UInt64(1) << 61)
            #expect(try Self.message { $0.key("k", 9, huge) }.hasSuffix("do not fit into the file"), "\(type)")
        }
        #expect(
            try Self.message {
                $0.key("k", 0, [1])
                $0.key("k", 0, [1])
            } == #"key "k": the key occurs twice"#)
        for alignment: UInt32 in [0, 3, 1 << 31] {
            let message = try Self.message { $0.key("general.alignment", 4, little(alignment)) }
            #expect(message.hasPrefix(#"key "general.alignment": a power of two"#), "\(alignment)")
        }
        let text = little(UInt64(1)) + [65]
        #expect(try Self.message { $0.key("general.alignment", 8, text) }.contains("a power of two"))
    }

    @Test func tensors() throws {
        let tensor = #"tensor "w": "#
        #expect(try Self.message { $0.dimensions = [] }.hasPrefix(tensor + "0 dimensions"))
        #expect(try Self.message { $0.dimensions = [1, 1, 1, 1, 1] }.hasPrefix(tensor + "5 dimensions"))
        #expect(try Self.message { $0.dimensions = [0, 2] } == tensor + "0 is no valid dimension")
        #expect(try Self.message { $0.dimensions = [1 << 63] }.hasSuffix("is no valid dimension"))
        #expect(
            try Self.message { $0.dimensions = [1 << 32, 1 << 32] }.hasSuffix("the product of the dimensions overflows")
        )
        #expect(try Self.message { $0.dimensions = [1 << 61, 2] }.hasSuffix("overflows"))
        #expect(try Self.message { $0.encoding = 23 } == tensor + "encoding 23 is not supported")
        #expect(try Self.message { $0.encoding = 12 }.contains("no whole number of Q4_K blocks (256)"))
        #expect(try Self.message { $0.offset = 1 }.contains("not a multiple of the alignment 32"))
        #expect(try Self.message { $0.offset = 32 }.contains("offset 32 with 64 bytes is beyond the end of the file"))
        #expect(try Self.message { $0.offset = 0xFFFF_FFFF_FFFF_FFE0 }.contains("beyond the end of the file"))
        #expect(try Self.message { $0.data.removeLast() }.contains("beyond the end of the file (63 bytes of data)"))
        #expect(try Self.message { $0.data = [] }.contains("beyond the end"))
        #expect(try Self.message { $0.name = [UInt8](repeating: 65, count: 4_000) }.hasPrefix("name of tensor 0: "))
    }

    @Test func overlapAndRepetition() throws {
        let folder = try TemporaryFolder()
        func file(_ second: String, at offset: UInt64) throws -> String {
            var draft = Draft()
            draft.tensorCount = 2
            // The second line stands where the first one's padding and data would be.
            var bytes = draft.magic + little(draft.version) + little(draft.tensorCount) + little(UInt64(0))
            for (name, offset) in [("w", 0), (second, offset)] as [(String, UInt64)] {
                bytes += little(UInt64(name.utf8.count)) + Array(name.utf8) + little(UInt32(1)) + little(UInt64(16))
                bytes += little(UInt32(0)) + little(offset)
            }
            bytes += [UInt8](repeating: 0, count: -bytes.count & 31) + [UInt8](repeating: 0, count: 128)
            return try folder.write("two.gguf", bytes)
        }
        _ = try GGUFFile(try file("v", at: 64))
        #expect(
            throws: ModelError.invalidFile(
                path: folder.path + "/two.gguf", field: #"tensor "v""#, reason: #"overlaps tensor "w""#)
        ) { try GGUFFile(try file("v", at: 32)) }
        #expect(
            throws: ModelError.invalidFile(
                path: folder.path + "/two.gguf", field: #"tensor "w""#, reason: "the name occurs twice")
        ) { try GGUFFile(try file("w", at: 64)) }
    }

    @Test func whatIsNoModel() throws {
        let folder = try TemporaryFolder()
        func message(_ values: [(String, GGUFValue)]) throws -> String {
            var writer = GGUFWriter()
            for (key, value) in values { writer.metadata.set(key, value) }
            try writer.write(to: folder.path + "/m.gguf")
            do { _ = try openModel(folder.path + "/m.gguf") } catch { return "\(error)" }
            return "accepted"
        }
        #expect(try message([]).contains(#"key "general.architecture": the key is missing"#))
        #expect(try message([("general.architecture", .string("mamba"))]).contains("\"mamba\" is not supported"))
        #expect(try message([("general.type", .string("adapter"))]).contains("no model, but \"adapter\""))
        #expect(try message([("split.count", .uint16(3))]).contains("one of 3 parts"))
        #expect(try message([("general.architecture", .string("gpt2"))]).contains("gpt2.embedding_length"))
        #expect(throws: ModelError.self) { try openModel(folder.path + "/none.gguf") }
        #expect(throws: ModelError.unreadable(path: "/dev/null", reason: "not a regular file")) {
            try openModel("/dev/null")
        }
        let empty = try folder.write("empty.gguf", [])
        #expect(throws: ModelError.unreadable(path: empty, reason: "the file is empty")) { try openModel(empty) }
    }
}

func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
