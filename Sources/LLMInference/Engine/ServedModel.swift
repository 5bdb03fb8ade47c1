// A language model as the engine sees it.
import LLMKernels
import LLMModels
import LLMTokenizers

extension StreamingDecoder: TextDecoder {}

/// Weights, and a way to turn tokens into text. Several engines may share one.
package struct ServedModel: StepModel {
    package let model: LanguageModel
    private let cachePrecision: KVPrecision
    private let makeDecoder: @Sendable () -> any TextDecoder

    /// - Parameter cachePrecision: the model's own if nil.
    package init(
        _ model: LanguageModel, cachePrecision: KVPrecision? = nil,
        makeDecoder: @escaping @Sendable () -> any TextDecoder
    ) {
        self.model = model
        self.cachePrecision = cachePrecision ?? model.cachePrecision
        self.makeDecoder = makeDecoder
    }

    package init(_ model: LanguageModel, tokenizer: Tokenizer, cachePrecision: KVPrecision? = nil) {
        self.init(model, cachePrecision: cachePrecision) { StreamingDecoder(tokenizer) }
    }

    package var vocabularySize: Int { model.configuration.vocabularySize }
    package var hiddenSize: Int { model.configuration.hiddenSize }
    package var contextLength: Int { model.configuration.contextLength }
    package var endOfTextTokens: [Int32] { model.configuration.endOfText }
    package func makeTextDecoder() -> any TextDecoder { makeDecoder() }
    package func fits(_ adapter: LoRAAdapter) -> Bool { adapter.fits(model.configuration) }

    package func makeRunner(
        cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam
    ) -> any StepRunner {
        Runner(
            model: model, cache: model.makeCache(blocks: cacheBlocks, precision: cachePrecision),
            work: model.makeWorkspace(maximumRows: maximumRows, maximumLogitRows: maximumLogitRows, team: team),
            team: team)
    }

    private final class Runner: StepRunner {
        private let model: LanguageModel
        private let cache: KVCache
        private let work: Workspace
        private let team: ThreadTeam
        private var states: MatrixView?

        init(model: LanguageModel, cache: KVCache, work: Workspace, team: ThreadTeam) {
            self.model = model
            self.cache = cache
            self.work = work
            self.team = team
        }

        func forward(_ batch: StepBatch) -> UnsafePointer<Float> {
            let states = model.forward(batch, cache: cache, work: work, team: team)
            self.states = states
            return UnsafePointer(states.base)
        }

        func logits(_ places: Range<Int>) -> UnsafePointer<Float> {
            guard let states else { preconditionFailure("there was no step") }
            model.logits(states.rows(places), work: work, team: team)
            return UnsafePointer(work.logits.base)
        }
    }
}
