// swift-tools-version: 6.2
// Targets stand in the order of the layers in docs/architecture.md: every dependency points to a lower layer and,
// below JobHandlers, stays in its column (job side or LLM side). scripts/lint checks it.
import Foundation
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

func program(_ name: String, path: String? = nil, exclude: [String] = [], _ dependencies: [Target.Dependency]) -> Target
{
    .executableTarget(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: strict)
}

let migrations = [
    "0001_tables", "0002_insert", "0003_worker", "0004_client", "0005_score_embed", "0006_quantize", "0007_adapters",
    "0008_quantize_names", "0009_attempts", "0010_fsck", "0011_limits", "0012_affinity",
    "0013_completion", "0014_dependencies", "0015_batches", "0016_rates", "0017_reuse", "0018_streams",
]

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let logging = product(name: "Logging", package: "swift-log")
    static let inMemoryLogging = product(name: "InMemoryLogging", package: "swift-log")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let orderedCollections = product(name: "OrderedCollections", package: "swift-collections")
    static let heap = product(name: "HeapModule", package: "swift-collections")
    static let deque = product(name: "DequeModule", package: "swift-collections")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
}

let package = Package(
    name: "millrace",
    products: [
        // Loaded into programs by a test, not linked.
        .library(name: "ClockSkew", type: .dynamic, targets: ["ClockSkew"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // MARK: L0, C and shared ground
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O2"])]),
        library("JSON", [.orderedCollections]),
        library("ServerLinks", [.deque, .logging]),

        // MARK: L1
        library("JobModel", ["JSON", .orderedCollections]),
        .target(
            name: "JobMigrations", path: "migrations",
            resources: migrations.flatMap { [.embedInCode("\($0).up.sql"), .embedInCode("\($0).down.sql")] },
            swiftSettings: strict),
        library("JobSettings", ["JSON"]),
        library("PostgresClient", ["CPostgres", "ServerLinks", "JSON", .logging, .deque]),
        library("RedisClient", ["CHiredis", "ServerLinks", .logging]),
        library("LLMKernels", ["CKernels"]),
        library("LLMTokenizers", ["JSON", .orderedCollections, .heap]),
        library("LLMPrompts", ["JSON", .orderedCollections]),

        // MARK: L2
        library("OpenAIFormat", ["JobModel", "JSON", .orderedCollections]),
        library("JobStorage", ["JobModel", "JobMigrations", "PostgresClient", "JSON", .logging]),
        library("LLMModels", ["LLMKernels", "LLMTokenizers", "JSON", .crypto]),
        library("LLMConstraints", ["LLMTokenizers", "JSON", .orderedCollections]),

        // MARK: L3
        library("JobPublishing", ["JobModel", "JobStorage", "RedisClient", "JSON", .logging]),
        library("LLMInference", ["LLMModels", "LLMConstraints", "LLMTokenizers", "LLMKernels"]),

        // MARK: L4
        library("JobWorker", ["JobModel", "JobStorage", "PostgresClient", "JSON", .logging]),

        // MARK: L5, where the columns meet
        library(
            "JobHandlers",
            [
                "JobWorker", "JobModel", "JobStorage", "LLMInference", "LLMConstraints", "LLMModels", "LLMTokenizers",
                "LLMPrompts", "LLMKernels", "JSON", .orderedCollections, .logging,
            ]),

        // MARK: L6
        program(
            "inference-worker", path: "workers/inference", exclude: ["inference.service", "inference.json"],
            [
                "JobHandlers", "JobWorker", "JobPublishing", "JobSettings", "JobStorage", "JobModel", "PostgresClient",
                "RedisClient", "ServerLinks", "LLMKernels", "JSON", .argumentParser, .logging, .lifecycle, .unixSignals,
            ]),
        program(
            "jobctl",
            [
                "JobModel", "JobMigrations", "JobSettings", "JobStorage", "JobPublishing", "OpenAIFormat",
                "PostgresClient", "RedisClient",
                "LLMModels", "LLMKernels", "JSON", .orderedCollections, .argumentParser, .logging, .crypto,
            ]),
        program(
            "jobbench",
            [
                "JobHandlers", "JobWorker", "JobStorage", "JobModel", "JobSettings", "JobPublishing", "PostgresClient",
                "LLMInference", "LLMConstraints", "LLMModels", "LLMTokenizers", "LLMKernels", "JSON", .argumentParser,
                .logging,
            ]),

        // MARK: Tests
        .target(
            name: "TestSupport",
            dependencies: ["JobStorage", "PostgresClient", "RedisClient", .logging], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("JSONTests", ["JSON"]),
        tests("KernelsTests", ["LLMKernels", "CKernels"]),
        .target(
            name: "TokenizerGoldens", dependencies: ["LLMTokenizers", "JSON"], path: "Tests/TokenizerGoldens",
            swiftSettings: strict),
        tests("TokenizersTests", ["LLMTokenizers", "TokenizerGoldens", "JSON"], resources: [.copy("Goldens")]),
        tests("PromptsTests", ["LLMPrompts", "JSON"], resources: [.copy("Goldens")]),
        .target(
            name: "ModelFuzz", dependencies: ["LLMModels", "LLMTokenizers", "LLMKernels"], path: "Tests/ModelFuzz",
            swiftSettings: strict),
        program("fuzz-models", path: "Tests/FuzzModels", ["ModelFuzz"]),
        tests(
            "ModelsTests",
            ["LLMModels", "LLMTokenizers", "LLMKernels", "TokenizerGoldens", "ModelFuzz", "JSON", "AllocationCounter"],
            resources: [.copy("Goldens")]),
        tests(
            "ConstraintsTests", ["LLMConstraints", "LLMModels", "LLMTokenizers", "JSON"], resources: [.copy("Goldens")]),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .target(name: "ClockSkew", path: "Tests/ClockSkew"),
        tests(
            "InferenceTests",
            [
                "LLMInference", "LLMConstraints", "LLMModels", "LLMTokenizers", "LLMKernels", "JSON",
                "AllocationCounter",
            ], resources: [.copy("Goldens")]),
        tests("JobModelTests", ["JobModel", "JSON"]),
        tests("OpenAIFormatTests", ["OpenAIFormat", "JobModel", "TestSupport", "JSON"]),
        tests("ServerLinksTests", ["ServerLinks", "TestSupport", .logging]),
        tests("PostgresClientTests", ["PostgresClient", "TestSupport", .logging]),
        tests("RedisClientTests", ["RedisClient", "TestSupport"]),
        tests(
            "StorageTests",
            ["JobStorage", "JobModel", "JobMigrations", "PostgresClient", "TestSupport", "JSON", .logging]),
        tests(
            "PublishingTests",
            ["JobPublishing", "JobStorage", "JobModel", "RedisClient", "TestSupport", "JSON", .logging]),
        tests("WorkerTests", ["JobWorker", "JobStorage", "JobModel", "JSON", .logging, .inMemoryLogging]),
        tests(
            "HandlersTests",
            [
                "JobHandlers", "JobWorker", "JobStorage", "JobModel", "LLMInference", "LLMConstraints", "LLMModels",
                "LLMKernels", "LLMPrompts", "LLMTokenizers", "TokenizerGoldens", "TestSupport", "JSON", .logging,
            ]),
        tests(
            "EndToEndTests",
            ["JobStorage", "JobModel", "JobWorker", "PostgresClient", "RedisClient", "TestSupport", "JSON"]),
    ]
)
