// A model for tests: its states and logits are a hash of the whole sequence as it stands in the cache, so any mistake in positions,
// blocks, chunks or resumption changes the answer.
import LLMInference
import LLMKernels
import LLMModels

struct ToyModel: StepModel {
    var vocabularySize = 97
    var contextLength = 256
    /// Logits are NaN for every row whose sequence has this token.
    var poison: Int32 = 96
    /// How much likelier the end of text becomes; 0 = as likely as any other token.
    var endOfTextBias: Float = 0
    /// How many of the last tokens, without their positions, its choice depends on; nil: on the whole sequence.
    var sight: Int?

    var hiddenSize: Int { 6 }

    static let endOfText: Int32 = 0
    var endOfTextTokens: [Int32] { [Self.endOfText] }

    /// 0 is special; some pieces end within a character, some begin with one's middle.
    static func bytes(of token: Int32) -> [UInt8] {
        switch token {
        case 0: []
        case 1...60: [UInt8(64 + token % 26), UInt8(97 + token / 6)]
        case 61...70: [32]
        case 71...76: [0xC3]
        case 77...82: [UInt8(0xA0 + token - 77)]
        case 83...86: [0xE2, 0x82]
        case 87...90: [0xAC, 0x61]
        default: Array("ab€".utf8)
        }
    }

    func makeTextDecoder() -> any TextDecoder { ToyDecoder() }

    func fits(_ adapter: LoRAAdapter) -> Bool { adapter.fits(Self.adapted) }

    /// Adapters change answers by their digests.
    static func adapter(_ digest: String) -> LoRAAdapter {
        LoRAAdapter(AdapterSource(path: "", digest: digest, bytes: 1, updates: []), for: adapted)
    }

    private static let adapted = ModelConfiguration(
        architecture: .llama, vocabularySize: 97, contextLength: 256, hiddenSize: 6, layerCount: 1, headCount: 1,
        keyValueHeadCount: 1, headSize: 6, intermediateSize: 6)

    func makeRunner(cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int, team: ThreadTeam) -> any StepRunner {
        ToyRunner(self, cacheBlocks: cacheBlocks, maximumRows: maximumRows, maximumLogitRows: maximumLogitRows)
    }
}

/// Whole characters as soon as they are complete, by Unicode's rule for broken sequences.
struct ToyDecoder: TextDecoder {
    private var held: [UInt8] = []

    mutating func append(_ token: Int32) -> String {
        held += ToyModel.bytes(of: token)
        // An incomplete character at the end: a lead byte with fewer continuations than it announces.
        var end = held.count
        for back in 1...3 where back <= held.count {
            let byte = held[held.count - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            if length > back { end = held.count - back }
            break
        }
        let text = String(decoding: held[..<end], as: UTF8.self)
        held.removeFirst(end)
        return text
    }

    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }
}

final class ToyRunner: StepRunner {
    private let model: ToyModel
    private let maximumRows: Int
    private let maximumLogitRows: Int
    private var cache: [Int32]
    /// A hash for each output row of the step; nil when its sequence is poisoned.
    private var hashes: [UInt64?] = []
    private let states: UnsafeMutablePointer<Float>
    private let logits: UnsafeMutablePointer<Float>

    init(_ model: ToyModel, cacheBlocks: Int, maximumRows: Int, maximumLogitRows: Int) {
        self.model = model
        self.maximumRows = maximumRows
        self.maximumLogitRows = maximumLogitRows
        cache = Array(repeating: -1, count: cacheBlocks * 16)
        states = .allocate(capacity: maximumRows * model.hiddenSize)
        logits = .allocate(capacity: maximumLogitRows * model.vocabularySize)
    }

    deinit {
        states.deallocate()
        logits.deallocate()
    }

    func forward(_ batch: StepBatch) -> UnsafePointer<Float> {
        precondition(batch.tokens.count <= maximumRows && batch.outputRows.count <= batch.tokens.count)
        for row in batch.tokens.indices {
            // Its keys and values show with which adapter a token was computed.
            let sequence = Int(batch.sequences[row])
            let adapter = sequence < batch.adapters.count ? batch.adapters[sequence] : nil
            let change = adapter?.digest.utf8.reduce(Int32(0)) { $0 + Int32($1) } ?? 0
            cache[place(batch, row, Int(batch.positions[row]))] = batch.tokens[row] + 128 * change
        }
        hashes = batch.outputRows.map { hash(batch, Int($0)) }
        for (index, hash) in hashes.enumerated() {
            for element in 0..<model.hiddenSize {
                let bits = Self.mix((hash ?? 0) &+ UInt64(element) << 40) >> 40
                states[index * model.hiddenSize + element] = hash == nil ? .nan : Float(bits) / 0x1p24 - 0.5
            }
        }
        return UnsafePointer(states)
    }

    func logits(_ places: Range<Int>) -> UnsafePointer<Float> {
        precondition(places.count <= maximumLogitRows)
        for (index, hash) in hashes[places].enumerated() { fill(index, hash) }
        return UnsafePointer(logits)
    }

    private func place(_ batch: StepBatch, _ row: Int, _ position: Int) -> Int {
        Int(batch.blockTables[Int(batch.sequences[row])][position / 16]) * 16 + position % 16
    }

    private func hash(_ batch: StepBatch, _ row: Int) -> UInt64? {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        var isPoisoned = false
        for position in 0...Int(batch.positions[row]) {
            let token = cache[place(batch, row, position)]
            isPoisoned = isPoisoned || token % 128 == model.poison
            let isSeen = model.sight.map { position > Int(batch.positions[row]) - $0 } ?? true
            let place = model.sight == nil ? UInt64(position) << 32 : 0
            if isSeen { hash = Self.mix(hash ^ UInt64(bitPattern: Int64(token)) &+ place) }
        }
        return isPoisoned ? nil : hash
    }

    private func fill(_ index: Int, _ hash: UInt64?) {
        let isPoisoned = hash == nil
        let out = logits + index * model.vocabularySize
        for token in 0..<model.vocabularySize {
            // Steps of 1/16 make equal logits common.
            let value = Float(Self.mix((hash ?? 0) &+ UInt64(token)) >> 57) / 16
            out[token] = isPoisoned ? .nan : value
        }
        out[Int(ToyModel.endOfText)] += model.endOfTextBias
        out[Int(model.poison)] = isPoisoned ? .nan : -.infinity
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var x = value &+ 0x9E37_79B9_7F4A_7C15
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }
}
