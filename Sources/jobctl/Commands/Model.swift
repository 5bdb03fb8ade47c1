// model add, list, show, remove, fetch: the registry.
import ArgumentParser
import Foundation
import Glibc
import JSON
import JobStorage
import LLMModels

struct Model: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Manage the models that jobs can name.",
        subcommands: [
            ModelAdd.self, ModelList.self, ModelShow.self, ModelRemove.self, ModelFetch.self, ModelMerge.self,
            ModelQuantize.self,
        ])
}

extension RegisteredModel {
    /// Reads the file and takes its digest.
    init(name: String, path: String) throws {
        let path = URL(fileURLWithPath: path).standardizedFileURL.path
        let source = try openModel(path)
        self.init(
            name: name, digest: try source.digest, architecture: source.architecture.rawValue,
            contextLength: source.configuration.contextLength, uri: path, bytes: try Self.size(of: path))
    }

    /// An adapter of a registered model; the whole of it is read and checked.
    init(adapter name: String, path: String, base: RegisteredModel) throws {
        guard base.base == nil else { throw CommandError("base: \"\(base.name)\" is an adapter itself") }
        let path = URL(fileURLWithPath: path).standardizedFileURL.path
        let adapter = try openAdapter(path, base: openModel(base.uri))
        self.init(
            name: name, digest: adapter.digest, architecture: base.architecture, contextLength: base.contextLength,
            uri: path, bytes: adapter.bytes, parentDigest: base.digest, base: base.name)
    }

    private static func size(of path: String) throws -> Int64 {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        _ = files.fileExists(atPath: path, isDirectory: &isFolder)
        let paths = isFolder.boolValue ? try files.contentsOfDirectory(atPath: path).map { "\(path)/\($0)" } : [path]
        return try paths.reduce(0) { sum, path in
            sum + ((try files.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0)
        }
    }

    fileprivate var megabytes: String { String(format: "%.1f", Double(bytes) / 1e6) }

    var json: JSONValue {
        [
            "name": .string(name), "digest": .string(digest), "architecture": .string(architecture),
            "context_length": .integer(Int64(contextLength)), "uri": .string(uri), "bytes": .integer(bytes),
            "base": base.map(JSONValue.string) ?? .null, "parent_digest": parentDigest.map(JSONValue.string) ?? .null,
        ]
    }
}

struct ModelAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Register a GGUF file or a Hugging Face folder under a name.",
        discussion: "With --base it is a LoRA adapter: a folder that PEFT saved, or a GGUF adapter.")
    @Argument(help: "The name that jobs will use.")
    var name: String
    @Argument(help: "Path as workers see it.")
    var path: String
    @Option(help: "The registered model that an adapter changes.")
    var base: String?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let model = try await common.withStore { store in
            let model =
                if let base {
                    try RegisteredModel(adapter: name, path: path, base: await store.registered(base, "base"))
                } else if FileManager.default.fileExists(atPath: path + "/adapter_config.json") {
                    throw CommandError("\(path) is a LoRA adapter: name its model with --base")
                } else {
                    try RegisteredModel(name: name, path: path)
                }
            try await store.register(model)
            return model
        }
        let kind = base.map { "adapter of \($0)" } ?? "\(model.architecture), context \(model.contextLength)"
        common.show(model.json, text: "\(name): \(kind), SHA-256 \(model.digest)")
    }
}

extension PostgresJobStore {
    /// - Parameter field: what named it, for the message.
    func registered(_ name: String, _ field: String) async throws -> RegisteredModel {
        guard let model = try await model(name) else { throw CommandError("\(field): \"\(name)\" is not registered") }
        return model
    }
}

struct ModelList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List registered models.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let models = try await common.withStore { try await $0.models() }
        var table = TextTable(header: ["NAME", "BASE", "ARCHITECTURE", "CONTEXT", "MB", "PATH"])
        for model in models {
            table.rows.append(
                [
                    model.name, model.base ?? "", model.architecture, "\(model.contextLength)",
                    model.megabytes, model.uri,
                ])
        }
        common.show(.array(models.map(\.json)), text: table.text(orElse: "No models."))
    }
}

struct ModelShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one model.")
    @Argument(help: "A registered name.")
    var name: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let model = try await common.withStore { try await $0.registered(name, "model") }
        var lines = [
            ("model", model.name), ("family", model.architecture), ("context", "\(model.contextLength) tokens"),
            ("size", "\(model.megabytes) MB"), ("path", model.uri), ("SHA-256", model.digest),
        ]
        if let base = model.base { lines.append(("adapter of", base)) }
        if let parent = model.parentDigest { lines.append(("made of", parent)) }
        common.show(model.json, text: TextTable.pairs(lines))
    }
}

struct ModelRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take a model out of the registry; its file stays.")
    @Argument(help: "A registered name.")
    var name: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard try await common.withStore({ try await $0.removeModel(name) }) else {
            throw CommandError("model: \"\(name)\" is not registered")
        }
        common.show(["removed": .string(name)], text: "\(name) is no longer registered")
    }
}

struct ModelFetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Download a known model and register it.",
        discussion: "Known models: "
            + ModelCatalogue.models.map { "\($0.name) (\($0.licence))" }.joined(separator: ", "))
    @Argument(help: "Name of a known model.")
    var name: String
    @Flag(help: "Agree to the model's licence, where it asks for that.")
    var acceptLicense = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard let model = ModelCatalogue.model(name) else {
            throw CommandError(
                "model: \"\(name)\" is not known; known are \(ModelCatalogue.models.map(\.name).joined(separator: ", "))"
            )
        }
        if model.needsAgreement, !acceptLicense {
            throw CommandError("\(name) comes under \(model.licence); agree with --accept-license")
        }
        let download = ModelDownload(model: model, folder: common.home.models)
        let isNew = try download.run(showsProgress: !common.json && isatty(STDERR_FILENO) == 1, common.say)
        let registered = try RegisteredModel(name: name, path: download.path)
        try await common.withStore { try await $0.register(registered) }
        common.show(registered.json, text: "\(name) is \(isNew ? "downloaded" : "here already") and registered")
    }
}
