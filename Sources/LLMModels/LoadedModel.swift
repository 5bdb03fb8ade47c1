// A model read whole. The digest and the tokenizer take about as long as the weights, and need nothing of each other: they
// are made meanwhile on a thread of their own.
import Foundation
import LLMKernels
import LLMTokenizers
import Synchronization

/// Weights, vocabulary and identity of a model file.
package struct LoadedModel: Sendable {
    package let model: LanguageModel
    package let tokenizer: Tokenizer
    /// Empty if it was not asked for.
    package let digest: String
    package let times: LoadTimes

    /// - Parameter digest: what the file's digest has to be.
    package init(
        _ source: any ModelSource, precision: ComputePrecision, team: ThreadTeam, digest: ExpectedDigest
    ) throws(ModelError) {
        let meanwhile = Meanwhile(source, takesDigest: digest != .unknown)
        let (packed, seconds) = timed { () throws(ModelError) in
            try LanguageModel(source, precision: precision, team: team)
        }
        let side = meanwhile.result()
        // Of a file that is not the one that was meant nothing else is worth telling.
        self.digest = try side.digest.get()
        if case .equal(let expected) = digest, expected != self.digest {
            throw .invalidFile(
                path: source.path, field: "SHA-256", reason: "\(self.digest), registered is \(expected)")
        }
        tokenizer = try side.tokenizer.get()
        model = try packed.get()
        times = LoadTimes(
            digest: side.digestSeconds, tokenizer: side.tokenizerSeconds, packing: seconds)
    }
}

package enum ExpectedDigest: Sendable, Equatable {
    case equal(String)
    /// It is taken, and not compared.
    case any
    /// It is not taken, which spares reading the file twice.
    case unknown
}

/// Seconds that the parts took, side by side.
package struct LoadTimes: Sendable {
    package let digest, tokenizer, packing: Double
}

private struct SideResult: Sendable {
    let digest: Result<String, ModelError>
    let digestSeconds: Double
    let tokenizer: Result<Tokenizer, ModelError>
    let tokenizerSeconds: Double
}

/// The thread that makes digest and tokenizer.
private final class Meanwhile: Sendable {
    private let made = Mutex<SideResult?>(nil)
    private let done = DispatchSemaphore(value: 0)

    init(_ source: any ModelSource, takesDigest: Bool) {
        let thread = Thread { [self] in
            let (tokenizer, tokenizerSeconds) = timed { () throws(ModelError) in try source.tokenizer() }
            let (digest, digestSeconds) = timed { () throws(ModelError) in takesDigest ? try source.digest : "" }
            let result = SideResult(
                digest: digest, digestSeconds: digestSeconds, tokenizer: tokenizer, tokenizerSeconds: tokenizerSeconds)
            made.withLock { $0 = result }
            done.signal()
        }
        thread.name = "load"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Waits for it; to be called once.
    func result() -> SideResult {
        done.wait()
        return made.withLock { $0! }
    }
}

private func timed<Value>(
    _ body: () throws(ModelError) -> Value
) -> (Result<Value, ModelError>, seconds: Double) {
    let start = ContinuousClock.now
    let result = Result { () throws(ModelError) in try body() }
    return (result, (ContinuousClock.now - start) / .seconds(1))
}
