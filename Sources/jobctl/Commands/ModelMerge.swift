// model merge: an adapter's changes written into a copy of its base.
import ArgumentParser
import Foundation
import JobStorage
import LLMKernels
import LLMModels

struct ModelMerge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Make a model of an adapter and its base, under a new name.",
        discussion: """
            The matrices that the adapter changes are written as 16-bit or 32-bit floats, all others as they are. A GGUF base \
            gives a GGUF file, a Hugging Face folder a folder. Adapters need not be merged to be used.
            """)
    @Argument(help: "A registered adapter.")
    var adapter: String
    @Option(help: "The new model's name.")
    var name: String
    @Option(help: "f16 or f32.")
    var to = Encoding.f16
    @Option(help: "File or folder to write (default: beside the fetched models, by the new name).")
    var out: String?
    @OptionGroup var common: CommonOptions

    enum Encoding: String, ExpressibleByArgument, CaseIterable { case f16, f32 }

    func run() async throws {
        let merged = try await common.withStore { store in
            let row = try await store.registered(adapter, "adapter")
            guard let baseName = row.base else { throw CommandError("adapter: \"\(adapter)\" is a model") }
            if try await store.model(name) != nil { throw CommandError("name: \"\(name)\" is registered already") }
            let base = try await store.registered(baseName, "base")
            let model = try openModel(base.uri)
            let path = try path(isFolder: MappedFile.isFolder(base.uri))
            let source = try openAdapter(row.uri, base: model)
            guard source.digest == row.digest else {
                throw CommandError("\(row.uri): SHA-256 \(source.digest), registered is \(row.digest)")
            }
            guard try model.digest == row.parentDigest else {
                throw CommandError("\"\(adapter)\" was registered for other bytes of \"\(baseName)\"; register it anew")
            }
            common.say("writing \(path)")
            try MergedCopy(of: model, with: source, as: to == .f16 ? .float16 : .float32).write(
                to: path, team: ThreadTeam(threads: ProcessInfo.processInfo.activeProcessorCount))
            var merged = try RegisteredModel(name: name, path: path)
            merged.parentDigest = row.parentDigest
            try await store.register(merged)
            return merged
        }
        common.show(merged.json, text: "\(name) is registered: \(merged.uri), SHA-256 \(merged.digest)")
    }

    private func path(isFolder: Bool) throws -> String {
        let path: String
        if let out {
            path = URL(fileURLWithPath: out).standardizedFileURL.path
        } else {
            try FileManager.default.createDirectory(atPath: common.home.models, withIntermediateDirectories: true)
            path = "\(common.home.models)/\(name)\(isFolder ? "" : ".gguf")"
        }
        if FileManager.default.fileExists(atPath: path) { throw CommandError("\(path) exists already") }
        return path
    }
}
