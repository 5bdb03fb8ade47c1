// The inference worker: puts the parts together and runs them until SIGTERM.
import ArgumentParser
import Foundation
import JobHandlers
import JobModel
import JobPublishing
import JobSettings
import JobStorage
import JobWorker
import LLMKernels
import Logging
import PostgresClient
import RedisClient
import ServiceLifecycle

@main
struct InferenceWorker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inference-worker",
        abstract:
            "Claims jobs and does them. SIGTERM ends it in order; a second signal ends it at once."
    )

    @Option(help: "The pool's profile, a JSON file.")
    var profile: String?
    @Option(help: "Compute threads (default: the cores).")
    var threads: Int?
    @Option(name: .customLong("queue"), help: "Queue to serve; may be repeated.")
    var queues: [String] = []
    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "info"

    func run() async throws {
        guard let verbosity = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("--log-level: \(logLevel) is none")
        }
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "inference-worker")
        logger.logLevel = verbosity
        let level = try CPUFeatureLevel.active()
        logger.info("kernels: \(level.rawValue)")
        var profile = try InferenceProfile(file: profile)
        if let threads { profile.serving.threads = max(1, threads) }
        if !queues.isEmpty { profile.worker.queues = queues }

        let addresses = try ServerAddresses(home: MillraceHome())
        let database = try PostgresConfiguration(url: addresses.database, applicationName: "millrace-worker")
        // A worker's statements are short: one that takes longer is lost with its connection, and jobs wait for it.
        let pool = PostgresPool(database.timeouts(answer: 30), size: 4, logger: logger)
        guard await DatabaseGate(pool: pool, logger: logger).pass() else { return await pool.close() }
        let store = PostgresJobStore(pool: pool)
        let signals = QueueSignals(database, logger: logger)
        let redis = RedisConnection(try RedisConfiguration(url: addresses.redis))
        let streams = StreamPublisher(redis: RedisConnection(try RedisConfiguration(url: addresses.redis)))
        let publisher = Publisher(store: store, redis: redis, logger: logger)
        let models = ServedModels(limits: profile.serving, logger: logger) { name in try await store.model(name) }
        let inference = InferenceHandler(models: models, limits: profile.serving) { [profile] in
            profile.serves(try await store.models())
        }
        let quantize = QuantizeHandler(
            folder: MillraceHome().models, threads: profile.serving.threads, store: store
        ) { [profile] in profile.serves(try await store.models()).map(\.name) }
        let worker = Worker(
            profile: profile.worker, store: store, handlers: [inference, quantize, NoopHandler()], logger: logger,
            stored: { streams.tell($0) }
        ) { [logger] id in Heartbeat(database, worker: id, logger: logger) }

        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: PublisherService(publisher: publisher, streams: streams, wake: signals.outbox)),
                    .init(
                        service: WorkerService(worker: worker, signals: signals),
                        successTerminationBehavior: .gracefullyShutdownGroup),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
        // Events of the last jobs; what stays is published by another worker.
        _ = try? await publisher.relay()
        await pool.close()
    }
}

/// Graceful shutdown is a drain.
struct WorkerService: Service {
    let worker: Worker
    let signals: QueueSignals

    func run() async {
        await withGracefulShutdownHandler {
            await worker.run(work: signals.work)
        } onGracefulShutdown: {
            worker.drain()
        }
        signals.stop()
    }
}

struct PublisherService: Service {
    let publisher: Publisher
    let streams: StreamPublisher
    let wake: AsyncStream<Void>

    func run() async {
        await cancelWhenGracefulShutdown {
            async let pieces: Void = streams.run()
            await publisher.run(wake: wake)
            await pieces
        }
    }
}
