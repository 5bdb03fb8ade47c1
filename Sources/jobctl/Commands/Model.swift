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
            ModelAdd.self, ModelList.self, ModelShow.self, ModelRemove.self, ModelFetch.self, ModelQuantize.self,
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

    private static func size(of path: String) throws -> Int64 {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        _ = files.fileExists(atPath: path, isDirectory: &isFolder)
        let paths = isFolder.boolValue ? try files.contentsOfDirectory(atPath: path).map { "\(path)/\($0)" } : [path]
        return try paths.reduce(0) { sum, path in
            sum + ((try files.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0)
        }
    }

    var json: JSONValue {
        [
            "name": .string(name), "digest": .string(digest), "architecture": .string(architecture),
            "context_length": .integer(Int64(contextLength)), "uri": .string(uri), "bytes": .integer(bytes),
        ]
    }
}

struct ModelAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Register a GGUF file or a Hugging Face folder under a name.")
    @Argument(help: "The name that jobs will use.")
    var name: String
    @Argument(help: "Path as workers see it.")
    var path: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let model = try RegisteredModel(name: name, path: path)
        try await common.withStore { try await $0.register(model) }
        common.show(
            model.json, text: "\(name): \(model.architecture), context \(model.contextLength), SHA-256 \(model.digest)")
    }
}

struct ModelList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List registered models.")
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let models = try await common.withStore { try await $0.models() }
        var table = TextTable(header: ["NAME", "ARCHITECTURE", "CONTEXT", "MB", "PATH"])
        for model in models {
            table.rows.append(
                [model.name, model.architecture, "\(model.contextLength)", "\(model.bytes / 1_000_000)", model.uri])
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
        guard let model = try await common.withStore({ try await $0.model(name) }) else {
            throw CommandError("model: \"\(name)\" is not registered")
        }
        let lines = [
            ("model", model.name), ("family", model.architecture), ("context", "\(model.contextLength) tokens"),
            ("size", "\(model.bytes / 1_000_000) MB"), ("path", model.uri), ("SHA-256", model.digest),
        ]
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
