import CKernels
import Foundation
@testable import LLMKernels
import Testing

/// Keys, values and queries of one sequence, in double, with the plain formula.
private struct Reference {
    var heads: Int, kvHeads: Int, size: Int
    var keys: [[Float]] = [], values: [[Float]] = []

    func attend(_ query: [Float], position: Int, parameters: AttentionParameters) -> [Double] {
        let group = heads / kvHeads
        var out = [Double](repeating: 0, count: heads * size)
        let first = parameters.window.map { max(0, position - $0 + 1) } ?? 0
        for head in 0..<heads {
            let kv = head / group * size
            var scores: [Double] = []
            for t in first...position {
                var dot = 0.0
                for d in 0..<size { dot += Double(query[head * size + d]) * Double(keys[t][kv + d]) }
                dot *= Double(parameters.scale)
                if let cap = parameters.softcap { dot = Double(cap) * tanh(dot / Double(cap)) }
                scores.append(dot)
            }
            let top = scores.max()!
            let weights = scores.map { exp($0 - top) }
            let sum = weights.reduce(0, +)
            for (t, weight) in zip(first...position, weights) {
                for d in 0..<size { out[head * size + d] += weight / sum * Double(values[t][kv + d]) }
            }
        }
        return out
    }
}

struct AttentionCase: CustomTestStringConvertible, Sendable {
    var heads = 4, kvHeads = 2, size = 32
    var precision = KVPrecision.float32
    var window: Int?
    var softcap: Float?
    var testDescription: String { "\(heads)/\(kvHeads)×\(size) \(precision) \(window ?? 0) \(softcap ?? 0)" }

    static let all: [AttentionCase] = [
        .init(), .init(precision: .float16), .init(heads: 9, kvHeads: 3, size: 64),
        .init(heads: 4, kvHeads: 4, size: 20),
        .init(heads: 5, kvHeads: 1, size: 24, precision: .float16), .init(window: 1), .init(window: 16),
        .init(window: 17), .init(window: 40, softcap: 5), .init(heads: 4, kvHeads: 1, size: 256, precision: .float16),
        .init(heads: 7, kvHeads: 7, size: 9, softcap: 50), .init(heads: 9, kvHeads: 3, size: 64, precision: .int8),
        .init(heads: 5, kvHeads: 1, size: 24, precision: .int8, window: 40), .init(size: 9, precision: .int8),
    ]
}

/// What the cache keeps of keys or values [tokens][kvHeads][size].
private func stored(_ x: [Float], _ shape: AttentionCase) -> [Float] {
    switch shape.precision {
    case .float32: x
    case .float16: x.map { Float(Float16($0)) }
    case .int8:
        stride(from: 0, to: x.count, by: shape.size).flatMap { start in
            let head = x[start..<start + shape.size]
            let scale = head.map(abs).max()! / 127
            return head.map { scale * ($0 / scale).rounded(.toNearestOrEven) }
        }
    }
}

@Suite struct AttentionTests {
    /// Two sequences in shuffled blocks of a cache full of NaN; all positions as one step of rows.
    @Test(arguments: AttentionCase.all)
    func matchesThePlainFormulaWhateverTheCompany(_ shape: AttentionCase) {
        var random = Randomness()
        let lengths = [150, 70], width = shape.kvHeads * shape.size, queryWidth = shape.heads * shape.size
        let layout = KVLayout(kvHeads: shape.kvHeads, headSize: shape.size, precision: shape.precision)
        let numbers = (0..<20).map(Int32.init).shuffled(using: &random)
        let tables = [Array(numbers[0..<10]), Array(numbers[10..<15])]
        let memory = AlignedBuffer<UInt8>(count: 20 * layout.blockBytes)
        memset(memory.base, 0xff, memory.count)
        let layer = KVLayer(layout: layout, blockCount: 20, buffer: memory)
        let parameters = AttentionParameters(
            scale: 1 / Float(shape.size).squareRoot(), window: shape.window, softcap: shape.softcap)

        var positions: [Int32] = [], sequences: [Int32] = []
        for (sequence, length) in lengths.enumerated() {
            positions += (0..<Int32(length)).map { $0 }
            sequences += [Int32](repeating: Int32(sequence), count: length)
        }
        let rows = positions.count
        func rounded(_ x: [Float]) -> [Float] { stored(x, shape) }
        let keys = AlignedBuffer(rounded(random.floats(rows * width)))
        let values = AlignedBuffer(rounded(random.floats(rows * width)))
        let queries = AlignedBuffer(random.floats(rows * queryWidth))
        var references = lengths.map { _ in Reference(heads: shape.heads, kvHeads: shape.kvHeads, size: shape.size) }
        for row in 0..<rows {
            references[Int(sequences[row])].keys.append(Array(keys.array[row * width..<(row + 1) * width]))
            references[Int(sequences[row])].values.append(Array(values.array[row * width..<(row + 1) * width]))
        }

        func run(_ range: Range<Int>, threads: Int, store: Bool) -> [Float] {
            let team = ThreadTeam(threads: threads)
            let step = PagedRows()
            step.assign(
                positions: Array(positions[range]), sequences: Array(sequences[range]), blockTables: tables)
            let slice = { (buffer: AlignedBuffer<Float>, columns: Int) in
                buffer.matrix(rows: rows, columns: columns).rows(range)
            }
            if store {
                team.eachRow(
                    range.count, columns: 2 * width,
                    .store(keys: slice(keys, width), values: slice(values, width), in: layer, rows: step))
            }
            let out = AlignedBuffer<Float>(count: range.count * queryWidth)
            attention(
                slice(queries, queryWidth), layer: layer, rows: step, parameters: parameters,
                into: out.matrix(rows: range.count, columns: queryWidth),
                scratch: AttentionScratch(heads: shape.heads, layout: layout, team: team), team: team)
            return out.array
        }

        // One row at a time while the cache grows, then all rows in one step.
        let alone = (0..<rows).flatMap { run($0..<$0 + 1, threads: 1 + $0 % 2, store: true) }
        for threads in 1...3 {
            #expect(sameBytes(alone, run(0..<rows, threads: threads, store: false)), "seed \(random.seed)")
        }
        for row in 0..<rows {
            let query = Array(queries.array[row * queryWidth..<(row + 1) * queryWidth])
            let truth = references[Int(sequences[row])].attend(
                query, position: Int(positions[row]), parameters: parameters)
            for (value, exact) in zip(alone[row * queryWidth..<(row + 1) * queryWidth], truth) {
                #expect(abs(Double(value) - exact) < 3e-5, "row \(row), seed \(random.seed)")
            }
        }
    }

    /// Sequences that begin with the same blocks, in part or wholly, decode in one step: some with several rows, some that
    /// share more with each other than with the rest, one that shares nothing.
    @Test(arguments: AttentionCase.all)
    func commonBeginningsChangeNothing(_ shape: AttentionCase) {
        var random = Randomness()
        let width = shape.kvHeads * shape.size, queryWidth = shape.heads * shape.size
        let layout = KVLayout(kvHeads: shape.kvHeads, headSize: shape.size, precision: shape.precision)
        let team = ThreadTeam(threads: 2)
        var free = (0..<200).map(Int32.init).shuffled(using: &random)
        func take(_ count: Int) -> [Int32] { (0..<count).map { _ in free.removeLast() } }
        let preamble = take(8), longer = preamble + take(5)
        let tables = (0..<14).map { number in
            number == 3 ? take(12) : (number % 3 == 0 ? longer : preamble) + take(1 + number % 5)
        }
        let memory = AlignedBuffer<UInt8>(count: 200 * layout.blockBytes)
        let layer = KVLayer(layout: layout, blockCount: 200, buffer: memory)
        defer { withExtendedLifetime(memory) {} }
        for (sequence, table) in tables.enumerated() {
            let count = table.count * 16, step = PagedRows()
            step.assign(
                positions: (0..<Int32(count)).map { $0 }, sequences: Array(repeating: Int32(sequence), count: count),
                blockTables: tables)
            let keys = AlignedBuffer(random.floats(count * width)), values = AlignedBuffer(random.floats(count * width))
            withExtendedLifetime((keys, values)) {
                let (k, v) = (keys.matrix(rows: count, columns: width), values.matrix(rows: count, columns: width))
                team.eachRow(count, columns: 2 * width, .store(keys: k, values: v, in: layer, rows: step))
            }
        }
        var positions: [Int32] = [], sequences: [Int32] = []
        for (sequence, table) in tables.enumerated() {
            let own = sequence % 4 == 1 ? 3 : 1, last = table.count * 16 - 1 - sequence
            positions += (0..<own).map { Int32(last - own + 1 + $0) }
            sequences += Array(repeating: Int32(sequence), count: own)
        }
        let queries = AlignedBuffer(random.floats(positions.count * queryWidth))
        defer { withExtendedLifetime(queries) {} }
        func run(_ rows: Range<Int>) -> [Float] {
            let step = PagedRows()
            step.assign(positions: Array(positions[rows]), sequences: Array(sequences[rows]), blockTables: tables)
            if rows.count > 1 {
                #expect(step.tiles.count < Set(sequences).count, "nothing was put together")
                #expect(step.order.sorted() == (0..<Int32(rows.count)).map { $0 })
            }
            let out = AlignedBuffer<Float>(count: rows.count * queryWidth)
            attention(
                queries.matrix(rows: positions.count, columns: queryWidth).rows(rows), layer: layer, rows: step,
                parameters: AttentionParameters(scale: 0.3, window: shape.window, softcap: shape.softcap),
                into: out.matrix(rows: rows.count, columns: queryWidth),
                scratch: AttentionScratch(heads: shape.heads, layout: layout, team: team), team: team)
            return out.array
        }
        let alone = positions.indices.flatMap { run($0..<$0 + 1) }
        #expect(alone.allSatisfy { $0.isFinite })
        #expect(sameBytes(alone, run(positions.indices)), "seed \(random.seed)")
    }

    @Test(arguments: AttentionCase.all)
    func everyLevelGivesTheSameBytes(_ shape: AttentionCase) {
        var random = Randomness()
        let group = shape.heads / shape.kvHeads
        let layout = KVLayout(kvHeads: shape.kvHeads, headSize: shape.size, precision: shape.precision)
        let count = 90, width = shape.heads * shape.size
        let cache = AlignedBuffer<UInt8>(count: layout.blockBytes * 6)
        for block in 0..<6 {
            for slot in 0..<16 {
                ck_store_token(
                    cache.base + layout.blockBytes * block, Int32(shape.kvHeads), Int32(shape.size),
                    shape.precision.code, Int32(slot), random.floats(shape.kvHeads * shape.size),
                    random.floats(shape.kvHeads * shape.size))
            }
        }
        let queries = AlignedBuffer(random.floats(count * width))
        let positions = AlignedBuffer((0..<Int32(count)).map { $0 + 3 })
        let tables = AlignedBuffer<Int32>(count: count), blocks = AlignedBuffer<Int32>([2, 0, 5, 1, 4, 3])
        let order = AlignedBuffer((0..<Int32(count)).map { $0 })
        let scratch = AlignedBuffer<Float>(count: Int(ck_attention_scratch(Int64(count * group), Int32(shape.size))))
        let results = levels.map { table in
            let out = AlignedBuffer<Float>(count: count * width)
            var job = ck_attention(
                queries: queries.base, query_stride: Int64(width), output: out.base, output_stride: Int64(width),
                cache: cache.base, block_bytes: Int64(layout.blockBytes),
                kv_heads: Int32(shape.kvHeads), group: Int32(group), head_size: Int32(shape.size),
                precision: shape.precision.code, rows: Int64(count), positions: positions.base,
                tables: tables.base, blocks: blocks.base, order: order.base, scale: 0.2, softcap: shape.softcap ?? 0,
                window: Int32(shape.window ?? 0))
            var tile = ck_attention_tile(begin: 0, end: Int32(count), common_spans: 0)
            table.attention(&job, &tile, 0, Int32(shape.kvHeads), 0, Int32(group), scratch.base)
            return out.array
        }
        for result in results.dropFirst() { #expect(sameBytes(result, results[0]), "seed \(random.seed)") }
        #expect(results[0].allSatisfy { $0.isFinite })
    }
}
