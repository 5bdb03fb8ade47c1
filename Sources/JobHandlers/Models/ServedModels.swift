// Models in memory, each with its engine: loaded when the first job asks for it, put out when the place is needed.
import Foundation
import JobModel
import JobStorage
import LLMInference
import LLMKernels
import LLMModels
import LLMPrompts
import Logging

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
    private let adapters: AdapterShelf
    private var places: [String: Place] = [:]

    /// - Parameter lookup: the registry.
    package init(limits: ServingLimits, logger: Logger, lookup: @escaping Lookup) {
        self.limits = limits
        self.logger = logger
        self.lookup = lookup
        adapters = AdapterShelf(byteLimit: limits.adapterBytes, logger: logger)
    }

    /// Names of the models in memory, or on their way there.
    package var inMemory: Set<String> { Set(places.keys) }

    /// Lends the model, or the base of an adapter with the adapter, to `body`; it stays in memory meanwhile.
    package func use<Value: Sendable>(
        _ name: String, _ body: @Sendable (Result<ResidentModel, JobFailure>) async -> Value
    ) async -> Value {
        if places[name] != nil { return await useModel(name, body) }
        // Looked up for every job: an adapter may have been registered anew.
        switch await registered(name) {
        case .failure(let failure): return await body(.failure(failure))
        case .success(let model):
            guard let base = model.base else { return await useModel(name, body) }
            return await useModel(base) { [adapters] loaded in
                switch loaded {
                case .failure: await body(loaded)
                case .success(let resident):
                    await body(adapters.adapter(model, on: resident).map { resident.with($0) })
                }
            }
        }
    }

    private func useModel<Value: Sendable>(
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

    private nonisolated func registered(_ name: String) async -> Result<RegisteredModel, JobFailure> {
        do {
            guard let found = try await lookup(name) else {
                return .failure(
                    JobFailure(code: "unknown_model", message: "model: \"\(name)\" is not registered", field: "model"))
            }
            return .success(found)
        } catch {
            return .failure(
                JobFailure(code: "model_unavailable", message: "model: the registry can't be read: \(error)"))
        }
    }

    @concurrent
    private nonisolated func load(_ name: String) async -> Result<ResidentModel, JobFailure> {
        await registered(name).flatMap { registered in
            Result { () throws(ModelError) in try read(registered) }.mapError(\.failure)
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
            name: registered.name, source: source, digest: loaded.digest, limits: limits,
            tokenizer: loaded.tokenizer, chatTemplate: template, engine: engine)
    }
}
