import Foundation
import JSON
import Testing

@testable import LLMInference

@Suite struct SamplerTests {
    /// Hugging Face's processors and warpers on random logits (scripts/goldens/sampling.py).
    @Test func agreesWithHuggingFace() throws {
        let url = try #require(
            Bundle.module.url(forResource: "sampling", withExtension: "json", subdirectory: "Goldens"))
        let cases = try #require(JSONValue(parsing: String(contentsOf: url, encoding: .utf8))["cases"]?.arrayValue)
        #expect(cases.count == 160)
        for (number, golden) in cases.enumerated() {
            let logits = floats(golden["logits"])
            let sampler = Sampler(vocabularySize: logits.count)
            var parameters = parameters(golden["parameters"])
            var penalties = Penalties(
                parameters, prompt: tokens(golden["prompt"]), vocabularySize: logits.count)
            for token in tokens(golden["output"]) { penalties.add(outputToken: token) }

            let kept = golden["kept"]?.arrayValue ?? []
            let distribution = try #require(sampler.distribution(logits, parameters, penalties))
            #expect(distribution.count { $0 > 1e-36 } == golden["keptCount"]?.intValue, "case \(number)")
            for pair in kept {
                let token = pair.arrayValue?[0].intValue ?? 0
                let probability = pair.arrayValue?[1].doubleValue ?? 0
                // Dividing large logits before the maximum is subtracted, as Hugging Face does, rounds at 1e-5.
                #expect(
                    abs(distribution[token] - probability) <= 2e-5 * probability + 1e-12,
                    "case \(number), token \(token): \(distribution[token]) for \(probability)")
            }

            parameters.temperature = 0
            let greedy = sampler.choose(logits, parameters, penalties, position: 0)
            #expect(greedy.map(Int.init) == golden["greedy"]?.intValue, "case \(number)")

            let normaliser = try #require(sampler.logNormaliser(logits))
            let top = sampler.alternatives(logits, count: 5, logNormaliser: normaliser)
            for (mine, theirs) in zip(top, floats(golden["topLogprobs"])) {
                #expect(abs(mine.logprob - theirs) <= 1e-6 * max(1, abs(theirs)), "case \(number)")
            }
        }
    }

    /// Draws follow the distribution: chi-square over the kept tokens.
    @Test func drawsFollowTheDistribution() throws {
        var random = TestRandom()
        print("sampler draws: seed \(random.seed)")
        for round in 0..<12 {
            let size = random.pick([7, 300, 5_000])
            let logits = (0..<size).map { _ in random.float(-4...4) }
            var parameters = SamplingParameters(temperature: random.float(0.5...1.5), seed: random.next())
            if round % 4 == 1 { parameters.topK = random.int(2...40) }
            if round % 4 == 2 { parameters.topP = random.float(0.3...0.9) }
            if round % 4 == 3 { parameters.minP = random.float(0.05...0.3) }
            let sampler = Sampler(vocabularySize: size)
            let expected = try #require(sampler.distribution(logits, parameters, nil))
            let draws = 20_000
            var counts = [Int](repeating: 0, count: size)
            for position in 0..<draws { counts[Int(sampler.choose(logits, parameters, nil, position: position)!)] += 1 }
            // Tokens that are expected fewer than 5 times are taken together, as the test demands.
            var chiSquare = 0.0
            var cells = 0
            var rest = (count: 0, expected: 0.0)
            for token in 0..<size {
                let mean = expected[token] * Double(draws)
                if mean == 0 { #expect(counts[token] == 0, "seed \(random.seed): a filtered token was drawn") }
                if mean < 5 {
                    rest.count += counts[token]
                    rest.expected += mean
                } else {
                    chiSquare += (Double(counts[token]) - mean) * (Double(counts[token]) - mean) / mean
                    cells += 1
                }
            }
            if rest.expected >= 5 {
                chiSquare += (Double(rest.count) - rest.expected) * (Double(rest.count) - rest.expected) / rest.expected
                cells += 1
            }
            // Wilson-Hilferty: the cube root of chi-square by its degrees of freedom is nearly normal. Six standard
            // deviations let one run in a billion fail by chance.
            let freedom = Double(max(1, cells - 1))
            let deviation = (cbrt(chiSquare / freedom) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)).squareRoot()
            #expect(deviation < 6, "seed \(random.seed), round \(round): chi-square \(chiSquare) of \(freedom)")
        }
    }

    /// The quick selection gives what sorting everything gives.
    @Test func filtersAgreeWithSorting() throws {
        var random = TestRandom()
        for _ in 0..<400 {
            let size = random.int(1...700)
            // Coarse logits make ties, fine ones don't.
            let step = random.pick([1, 0.125, 1e-3]) as Float
            let logits = (0..<size).map { _ in (random.float(-8...8) / step).rounded() * step }
            let sampler = Sampler(vocabularySize: size)
            let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }

            let normaliser = try #require(sampler.logNormaliser(logits))
            let count = random.int(0...20)
            let top = sampler.alternatives(logits, count: count, logNormaliser: normaliser)
            #expect(top.map { Int($0.token) } == Array(order.prefix(count)), "seed \(random.seed)")

            let topK = random.int(1...size)
            var distribution = try #require(sampler.distribution(logits, .init(temperature: 1, topK: topK), nil))
            let threshold = logits[order[topK - 1]]
            #expect(logits.indices.allSatisfy { (distribution[$0] > 0) == (logits[$0] >= threshold) })

            let topP = random.float(0.01...0.99)
            let whole = try #require(sampler.distribution(logits, .init(temperature: 1), nil))
            distribution = try #require(sampler.distribution(logits, .init(temperature: 1, topP: topP), nil))
            let kept = distribution.count { $0 > 0 }
            #expect(order.prefix(kept).allSatisfy { distribution[$0] > 0 }, "seed \(random.seed)")
            let sum = order.prefix(kept).reduce(0) { $0 + whole[$1] }
            #expect(sum >= Double(topP) - 1e-6 && sum - whole[order[kept - 1]] < Double(topP) + 1e-6)
        }
    }

    @Test func greedyTakesTheFirstOfTheLargest() {
        let sampler = Sampler(vocabularySize: 5)
        #expect(sampler.choose([1, 3, -2, 3, 3], SamplingParameters(), nil, position: 0) == 1)
        #expect(sampler.choose([-1, -0.0, 0, -0.0, -3], SamplingParameters(), nil, position: 0) == 1)
        #expect(
            sampler.choose([-.infinity, -.infinity, -7, -.infinity, -9], SamplingParameters(), nil, position: 0) == 2)
    }

    @Test func unusableRowsGiveNothing() {
        let sampler = Sampler(vocabularySize: 20)
        let parameters = SamplingParameters(temperature: 1, topK: 3, topP: 0.9)
        for bad in [Float.nan, .infinity] {
            for place in [0, 15, 16, 19] {
                var row = [Float](repeating: 0, count: 20)
                row[place] = bad
                #expect(sampler.choose(row, parameters, nil, position: 0) == nil)
                #expect(sampler.choose(row, SamplingParameters(), nil, position: 0) == nil)
                #expect(sampler.logNormaliser(row) == nil)
            }
        }
        #expect(sampler.choose([Float](repeating: -.infinity, count: 20), parameters, nil, position: 0) == nil)
    }

    @Test func extremeSettingsStayInRange() throws {
        var random = TestRandom()
        for _ in 0..<300 {
            let size = random.int(1...400)
            let logits = (0..<size).map { _ in random.chance(0.1) ? -.infinity : random.float(-1e30...1e30) }
            if logits.allSatisfy({ $0 == -.infinity }) { continue }
            let parameters = SamplingParameters(
                temperature: random.pick([1e-38, 1e-3, 1, 100]), topK: random.pick([0, 1, size, 1_000_000]),
                topP: random.pick([1e-30, 0.5, 1 - 1e-7, 1]), minP: random.pick([0, 1e-30, 1]), seed: random.next())
            let token = try #require(
                Sampler(vocabularySize: size).choose(logits, parameters, nil, position: 3), "seed \(random.seed)")
            #expect(logits[Int(token)] > -.infinity, "seed \(random.seed)")
        }
    }

    private func floats(_ value: JSONValue?) -> [Float] {
        (value?.arrayValue ?? []).map { Float($0.doubleValue ?? .nan) }
    }

    private func tokens(_ value: JSONValue?) -> [Int32] {
        (value?.arrayValue ?? []).map { Int32($0.intValue ?? -1) }
    }

    private func parameters(_ value: JSONValue?) -> SamplingParameters {
        func number(_ key: String) -> Float { Float(value?[key]?.doubleValue ?? .nan) }
        return SamplingParameters(
            temperature: number("temperature"), topK: Int(number("topK")), topP: number("topP"), minP: number("minP"),
            repetitionPenalty: number("repetitionPenalty"), presencePenalty: number("presencePenalty"),
            frequencyPenalty: number("frequencyPenalty"))
    }
}
