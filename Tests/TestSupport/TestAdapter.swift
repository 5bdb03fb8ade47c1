// A LoRA adapter for SmolLM2-135M as PEFT would save it, with random numbers.
import Foundation

package enum TestAdapter {
    /// Writes the folder: query and value matrices of all layers, of rank 4. The same seed gives the same bytes.
    package static func write(to folder: String, seed: UInt64) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let configuration = """
            {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
            """
        try Data(configuration.utf8).write(to: URL(filePath: folder + "/adapter_config.json"))
        var state = seed
        func number() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (Float(state >> 40) / Float(1 << 24) - 0.5) * 0.2
        }
        var entries: [String] = []
        var data = Data()
        for layer in 0..<30 {
            for (module, outputs) in [("q_proj", 576), ("v_proj", 192)] {
                for (matrix, rows, columns) in [("lora_A", 4, 576), ("lora_B", outputs, 4)] {
                    let start = data.count
                    for _ in 0..<rows * columns { withUnsafeBytes(of: number()) { data.append(contentsOf: $0) } }
                    entries.append(
                        """
                        "base_model.model.model.layers.\(layer).self_attn.\(module).\(matrix).weight": \
                        {"dtype": "F32", "shape": [\(rows), \(columns)], "data_offsets": [\(start), \(data.count)]}
                        """)
                }
            }
        }
        let header = Data("{\(entries.joined(separator: ", "))}".utf8)
        var file = withUnsafeBytes(of: UInt64(header.count)) { Data($0) }
        file.append(header)
        file.append(data)
        try file.write(to: URL(filePath: folder + "/adapter_model.safetensors"))
    }
}
