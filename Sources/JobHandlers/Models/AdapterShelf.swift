// Adapters in memory: opened when a job names one, kept for the next.
import Foundation
import JobModel
import JobStorage
import LLMModels
import Logging

/// By their digests, so one that is registered anew is another one, and the model stays in memory. When they take more
/// than `byteLimit`, the least recently used leave; requests that run with them keep them alive.
actor AdapterShelf {
    private struct Key: Hashable {
        var base: String
        var digest: String
    }

    private struct Place {
        let loading: Task<Result<LoRAAdapter, JobFailure>, Never>
        /// 0 until it is loaded.
        var bytes = 0
        var lastUse: UInt64 = 0
    }

    private let byteLimit: Int
    private let logger: Logger
    private var places: [Key: Place] = [:]
    private var uses: UInt64 = 0

    init(byteLimit: Int, logger: Logger) {
        self.byteLimit = byteLimit
        self.logger = logger
    }

    /// The adapter, ready for requests to its base.
    func adapter(_ registered: RegisteredModel, on base: ResidentModel) async -> Result<LoRAAdapter, JobFailure> {
        guard registered.parentDigest == base.fileDigest else {
            let reason = "\"\(registered.name)\" was registered for other bytes of \"\(base.name)\"; register it anew"
            return .failure(JobFailure(code: "invalid_model", message: "model: \(reason)", field: "model"))
        }
        let key = Key(base: base.fileDigest, digest: registered.digest)
        if places[key] == nil {
            let (source, logger) = (base.source, logger)
            places[key] = Place(loading: Task { await Self.load(registered, for: source, logger) })
        }
        uses += 1
        places[key]!.lastUse = uses
        let loaded = await places[key]!.loading.value
        switch loaded {
        case .success(let adapter):
            places[key]?.bytes = adapter.byteCount
            makeRoom(keeping: key)
        // It is looked for again by the next job: the file may have been mended.
        case .failure: places[key] = nil
        }
        return loaded
    }

    private func makeRoom(keeping key: Key) {
        while places.values.reduce(0, { $0 + $1.bytes }) > byteLimit,
            let oldest = places.filter({ $0.key != key && $0.value.bytes > 0 })
                .min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            places[oldest.key] = nil
        }
    }

    @concurrent
    private static func load(
        _ registered: RegisteredModel, for base: any ModelSource, _ logger: Logger
    ) async -> Result<LoRAAdapter, JobFailure> {
        do throws(ModelError) {
            let source = try openAdapter(registered.uri, base: base)
            guard source.digest == registered.digest else {
                throw .invalidFile(
                    path: registered.uri, field: "SHA-256",
                    reason: "\(source.digest), registered is \(registered.digest)")
            }
            let adapter = LoRAAdapter(source, for: base.configuration)
            logger.info("adapter \(registered.name) loaded, \(adapter.byteCount / 1_000_000) MB")
            return .success(adapter)
        } catch {
            return .failure(error.failure)
        }
    }
}

extension ModelError {
    /// A file that is not there may be on another worker, or come back; a broken one stays broken.
    var failure: JobFailure {
        let isAbsent = if case .unreadable = self { true } else { false }
        return JobFailure(
            code: isAbsent ? "model_unavailable" : "invalid_model", message: "model: \(self)", field: "model")
    }
}
