// The pool's profile: the file inference.json beside this one, with the command line on top.
import Foundation
import JSON
import JobHandlers
import JobStorage
import JobWorker
import LLMKernels

struct InferenceProfile {
    var worker = WorkerProfile(name: "inference")
    /// Names of models to serve; `*` is every registered one.
    var models = ["*"]
    var serving = ServingLimits(threads: ProcessInfo.processInfo.activeProcessorCount)

    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads a profile; fields that are missing keep their defaults, unknown ones are refused.
    init(file: String?) throws {
        guard let file else { return }
        guard let content = FileManager.default.contents(atPath: file) else {
            throw Fault(description: "\(file): can't be read")
        }
        let profile: JSONValue
        do throws(JSONError) {
            profile = try JSONValue(parsing: Array(content))
        } catch {
            throw Fault(description: "\(file): \(error)")
        }
        guard let members = profile.objectValue else { throw Fault(description: "\(file): must hold an object") }
        for (name, value) in members {
            func count(_ range: ClosedRange<Int>) throws -> Int {
                guard let number = value.intValue, range.contains(number) else {
                    throw Fault(description: "\(file): \(name): must be \(range.lowerBound)…\(range.upperBound)")
                }
                return number
            }
            func list() throws -> [String] {
                let texts = value.arrayValue?.compactMap(\.stringValue) ?? []
                guard !texts.isEmpty, texts.count == value.arrayValue?.count else {
                    throw Fault(description: "\(file): \(name): must be a list of names")
                }
                return texts
            }
            switch name {
            case "name": worker.name = value.stringValue ?? worker.name
            case "queues": worker.queues = try list()
            case "models": models = try list()
            case "threads": serving.threads = try count(1...1024)
            case "sequences": serving.sequences = try count(1...4096)
            case "token_budget": serving.tokenBudget = try count(1...1_000_000)
            case "cache_tokens": serving.cacheTokens = try count(16...100_000_000)
            case "cache_precision":
                guard let precision = value.stringValue.flatMap(KVPrecision.init), precision != .float32 else {
                    throw Fault(description: "\(file): \(name): must be \"float16\" or \"int8\"")
                }
                serving.cachePrecision = precision
            case "resident_models": serving.models = try count(1...64)
            case "stream_tokens": worker.streamTokens = try count(1...1_000_000)
            case "stream_seconds":
                guard let seconds = value.doubleValue, (0.05...3600).contains(seconds) else {
                    throw Fault(description: "\(file): \(name): must be 0.05…3600")
                }
                worker.streamInterval = seconds
            case "drain_seconds": worker.drainTimeout = Double(try count(0...86400))
            default: throw Fault(description: "\(file): \(name): unknown field")
            }
        }
    }

    /// What of the registry this worker serves; adapters with their models.
    func serves(_ registered: [RegisteredModel]) -> [RegisteredModel] {
        if models.contains("*") { return registered }
        return registered.filter { models.contains($0.name) || $0.base.map(models.contains) == true }
    }
}
