// The structure of safetensors files: each rule of the format, broken once.
import JSON
import LLMModels
import Testing

@Suite struct SafetensorsTests {
    @Test func readsWhatTheSafetensorsPackageWrote() throws {
        let file = try SafetensorsFile(GoldenFiles.path("hf/gemma3/model.safetensors"))
        #expect(file.metadata == ["format": "pt"])
        let norm = try #require(file["model.norm.weight"])
        #expect(norm.shape == [32] && norm.type == "BF16" && norm.encoding == .bfloat16 && norm.byteCount == 64)
    }

    private static func message(_ header: String, data: Int = 64, length: UInt64? = nil) throws -> String {
        let folder = try TemporaryFolder()
        let bytes =
            little(length ?? UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 1, count: data)
        let path = try folder.write("x.safetensors", bytes)
        do {
            _ = try SafetensorsFile(path)
            return "accepted"
        } catch { return String(error.description.dropFirst(path.count + 2)) }
    }

    private static func one(_ type: String, _ shape: String, _ offsets: String) -> String {
        #"{"w": {"dtype": "\#(type)", "shape": \#(shape), "data_offsets": \#(offsets)}}"#
    }

    @Test func accepted() throws {
        #expect(try Self.message(Self.one("F32", "[4, 4]", "[0, 64]")) == "accepted")
        #expect(try Self.message(Self.one("F32", "[4, 4]", "[0, 64]") + "   ") == "accepted")
        #expect(try Self.message(Self.one("F4", "[128]", "[0, 64]")) == "accepted")
        #expect(try Self.message("{}", data: 0) == "accepted")
        #expect(try Self.message(Self.one("F32", "[0, 4]", "[0, 0]"), data: 0) == "accepted")
    }

    @Test func refused() throws {
        #expect(try Self.message("{}", length: .max).hasPrefix("header length: 18446744073709551615 bytes, more"))
        #expect(try Self.message("{}", length: 4_000).hasPrefix("header: the file ends inside it"))
        #expect(try Self.message(" {}").hasPrefix("header: it does not begin with {"))
        #expect(try Self.message("{]").hasPrefix("header: line 1, column 2"))
        let tensor = #"tensor "w": "#
        #expect(try Self.message(#"{"w": {}}"#) == tensor + "dtype is missing")
        #expect(try Self.message(#"{"w": {"dtype": "F32"}}"#).hasPrefix(tensor + "shape is missing"))
        #expect(try Self.message(Self.one("F32", "[16]", "[0]")).hasPrefix(tensor + "data_offsets is missing"))
        for offsets in ["[0, 65]", "[-4, 60]", "[64, 0]", "[0, 9223372036854775807]"] {
            #expect(try Self.message(Self.one("F32", "[16]", offsets)).contains("are not within the 64 bytes"))
        }
        #expect(try Self.message(Self.one("F32", "[15]", "[0, 64]")).contains("does not take the 64 bytes"))
        #expect(try Self.message(Self.one("F16", "[16]", "[0, 64]")).contains("does not take the 64 bytes"))
        #expect(try Self.message(Self.one("F32", "[-1]", "[0, 64]")) == tensor + "-1 is no valid dimension")
        #expect(try Self.message(Self.one("F32", "[4294967296, 4294967296]", "[0, 64]")).contains("overflows"))
        #expect(try Self.message(Self.one("F32", "[4611686018427387904]", "[0, 64]")).contains("does not take"))
        #expect(try Self.message(Self.one("F32", "[15]", "[4, 64]")) == tensor + "4 unused bytes before it")
        #expect(try Self.message(Self.one("F32", "[15]", "[0, 60]")) == "data: 4 unused bytes after the last tensor")
        let overlapping =
            #"{"v": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}, "#
            + #""w": {"dtype": "F32", "shape": [9], "data_offsets": [28, 64]}}"#
        #expect(try Self.message(overlapping) == tensor + "overlaps the tensor before it")
    }
}
