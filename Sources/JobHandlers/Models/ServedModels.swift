// Models in memory, each with its engine: loaded when the first job asks for it, put out when the place is needed.
import Foundation
import JobModel
import JobStorage
import LLMConstraints
import LLMInference
import LLMKernels
import LLMModels
import LLMPrompts
import LLMTokenizers
import Logging

/// How much of the machine the models of one worker may use.
package struct ServingLimits: Sendable {
    package var threads: Int
    /// Jobs that run at the same time, over all models.
    package var sequences: Int
    /// Rows of one engine step.
    package var tokenBudget: Int
    /// Tokens that the cache of one model holds.
    package var cacheTokens: Int
    /// How it keeps them. Other than float16 it shows in `model_digest`, since answers may differ in a token.
    package var cachePrecision = KVPrecision.float16
    /// Models in memory at the same time.
    package var models: Int

    package init(threads: Int, sequences: Int = 32, tokenBudget: Int = 256, cacheTokens: Int = 16384, models: Int = 2) {
        self.threads = threads
        self.sequences = sequences
        self.tokenBudget = tokenBudget
        self.cacheTokens = cacheTokens
        self.models = models
    }
}

extension ServingLimits {
    /// What tells answers apart that one model gives with other keys and values.
    fileprivate var digestSuffix: String { cachePrecision == .float16 ? "" : "+\(cachePrecision.rawValue)-cache" }
}

/// A loaded model with all that a job needs of it.
package final class ResidentModel: Sendable {
    package let name: String
    /// Of the file, and of what else decides about bytes.
    package let digest: String
    package let configuration: ModelConfiguration
    package let tokenizer: Tokenizer
    /// Nil for a model without one.
    package let chatTemplate: ChatTemplate?
    package let engine: EngineThread
    /// Compiled constraints of structured output.
    package let constraints: ConstraintCache

    init(
        name: String, digest: String, configuration: ModelConfiguration, tokenizer: Tokenizer,
        chatTemplate: ChatTemplate?, engine: EngineThread
    ) {
        self.name = name
        self.digest = digest
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.chatTemplate = chatTemplate
        self.engine = engine
        let size = configuration.vocabularySize
        constraints = ConstraintCache { Vocabulary(tokenizer, size: size) }
    }
}

package actor ServedModels {
    private struct Place {
        let loading: Task<Result<ResidentModel, JobFailure>, Never>
        var users = 0
        var lastUse = Date()
    }

    package typealias Lookup = @Sendable (String) async throws -> RegisteredModel?

    private let limits: ServingLimits
    private let lookup: Lookup
    private let logger: Logger
    private var places: [String: Place] = [:]

    /// - Parameter lookup: the registry.
    package init(limits: ServingLimits, logger: Logger, lookup: @escaping Lookup) {
        self.limits = limits
        self.logger = logger
        self.lookup = lookup
    }

    /// Which of these models a new job may ask for now: all while there is room or someone idle to make room, else those
    /// that are in memory.
    package func available(_ names: [String]) -> [String] {
        let isFull = places.count >= limits.models && places.values.allSatisfy { $0.users > 0 }
        return isFull ? names.filter { places[$0] != nil } : names
    }

    /// Lends the model to `body`; it stays in memory meanwhile.
    package func use<Value: Sendable>(
        _ name: String, _ body: @Sendable (Result<ResidentModel, JobFailure>) async -> Value
    ) async -> Value {
        await makeRoom(for: name)
        if places[name] == nil {
            places[name] = Place(loading: Task { [self] in await load(name) })
        }
        places[name]!.users += 1
        let loaded = await places[name]!.loading.value
        let value = await body(loaded)
        places[name]?.users -= 1
        places[name]?.lastUse = Date()
        // A model that did not load is looked for again by the next job: the file may have been mended.
        if case .failure = loaded, places[name]?.users == 0 { places[name] = nil }
        return value
    }

    /// Ends all engines.
    package func shutDown() async {
        for place in places.values {
            if case .success(let model) = await place.loading.value { await model.engine.stop() }
        }
        places = [:]
    }

    private func makeRoom(for name: String) async {
        while places[name] == nil, places.count >= limits.models {
            guard let idle = places.filter({ $0.value.users == 0 }).min(by: { $0.value.lastUse < $1.value.lastUse })
            else { return }
            places[idle.key] = nil
            if case .success(let model) = await idle.value.loading.value {
                await model.engine.stop()
                logger.info("model \(model.name) left memory")
            }
        }
    }

    // MARK: Loading

    @concurrent
    private nonisolated func load(_ name: String) async -> Result<ResidentModel, JobFailure> {
        let registered: RegisteredModel
        do {
            guard let found = try await lookup(name) else {
                return .failure(
                    JobFailure(code: "unknown_model", message: "model: \"\(name)\" is not registered", field: "model"))
            }
            registered = found
        } catch {
            return .failure(
                JobFailure(code: "model_unavailable", message: "model: the registry can't be read: \(error)"))
        }
        do throws(ModelError) {
            return .success(try read(registered))
        } catch {
            // A file that is not there may be on another worker, or come back; a broken one stays broken.
            let isAbsent = if case .unreadable = error { true } else { false }
            return .failure(
                JobFailure(
                    code: isAbsent ? "model_unavailable" : "invalid_model", message: "model: \(error)", field: "model"))
        }
    }

    private nonisolated func read(_ registered: RegisteredModel) throws(ModelError) -> ResidentModel {
        let start = Date()
        let source = try openModel(registered.uri)
        let team = ThreadTeam(threads: limits.threads)
        let loaded = try LoadedModel(source, precision: .served, team: team, digest: .equal(registered.digest))
        let template: ChatTemplate?
        do throws(TemplateError) {
            template = try source.chatTemplate.map { source throws(TemplateError) in try ChatTemplate(source) }
        } catch {
            throw .invalidFile(path: registered.uri, field: "chat template", reason: "\(error)")
        }
        let engine: EngineThread
        do throws(EngineError) {
            engine = try EngineThread(
                model: ServedModel(
                    loaded.model, tokenizer: loaded.tokenizer, cachePrecision: limits.cachePrecision),
                limits: EngineLimits(
                    maximumSequences: limits.sequences, tokenBudget: max(limits.tokenBudget, limits.sequences),
                    cacheBlocks: max(1, limits.cacheTokens / KVLayout.blockSize),
                    maximumWaiting: limits.sequences * EngineCalls.atOnce),
                team: team, name: "engine")
        } catch {
            throw .unsupported(path: registered.uri, field: "worker profile", reason: error.description)
        }
        let seconds = Date().timeIntervalSince(start)
        logger.info("model \(registered.name) loaded in \(String(format: "%.1f", seconds)) s")
        return ResidentModel(
            name: registered.name, digest: loaded.digest + limits.digestSuffix,
            configuration: loaded.model.configuration, tokenizer: loaded.tokenizer,
            chatTemplate: template, engine: engine)
    }
}
