// Mutated sources: each is compiled or refused, without crash and without hang.
import Foundation
import JSON
import Testing

@testable import LLMConstraints

@Suite struct ConstraintFuzzTests {
    private func mutate(_ text: String, _ pieces: [String], _ random: inout TestRandom) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 0..<random.int(1...4) {
            let place = random.int(0...scalars.count)
            switch random.int(0...3) {
            case 0 where place < scalars.count: scalars.remove(at: place)
            case 1: scalars.insert(contentsOf: random.pick(pieces).unicodeScalars, at: place)
            case 2 where place < scalars.count: scalars[place] = Unicode.Scalar(UInt8(random.int(32...126)))
            default:
                let end = min(scalars.count, place + random.int(0...12))
                scalars.insert(contentsOf: scalars[place..<end], at: random.int(0...scalars.count))
            }
        }
        return String(String.UnicodeScalarView(scalars))
    }

    private func compile(_ source: ConstraintSource, _ random: inout TestRandom) -> Bool {
        do throws(ConstraintError) {
            let constraint = try TokenConstraint(source, vocabulary: .bytes)
            var walk = Walk(constraint)
            let isFinished = walk.finishAtRandom(within: constraint.minimumTokens + 8, &random)
            #expect(isFinished, "seed \(random.seed), \(source)")
            return true
        } catch {
            #expect(!error.description.isEmpty)
            return false
        }
    }

    @Test func regularExpressions() throws {
        var random = TestRandom()
        print("fuzz: seed \(random.seed)")
        let seeds = try Goldens.entries("regexes").map { try #require($0["pattern"]?.stringValue) }
        let pieces = [
            "(", ")", "[", "]", "{2,3}", "|", "*", "+?", "\\", "\\d", "^", "$", "[^", "-", "\\p{L}", "é", "(?:", ".",
            "{,", "\\u{",
        ]
        let compiled = (0..<3000).count { _ in compile(.regex(mutate(random.pick(seeds), pieces, &random)), &random) }
        print("\(compiled) of 3000 compiled")
        #expect(compiled > 300)
    }

    @Test func grammars() throws {
        var random = TestRandom()
        print("fuzz: seed \(random.seed)")
        let seeds = try Goldens.entries("grammars").map { try #require($0["grammar"]?.stringValue) }
        let pieces = [
            "(", ")", "[", "]", "{2,3}", "|", "*", "+", "\"", "\\", "root", "::=", "\n", "#", "\"a\"", "[^a]", "é",
            "{,", "\\x", "ws",
        ]
        let compiled = (0..<1500).count { _ in compile(.grammar(mutate(random.pick(seeds), pieces, &random)), &random) }
        print("\(compiled) of 1500 compiled")
        #expect(compiled > 100)
    }

    @Test func schemas() throws {
        var random = TestRandom()
        print("fuzz: seed \(random.seed)")
        let seeds = try Goldens.entries("schemas").map {
            try JSONValue(parsing: try #require($0["schema"]?.stringValue))
        }
        let compiled = (0..<1500).count { _ in
            compile(.jsonSchema(mutate(random.pick(seeds), seeds, &random, depth: 0)), &random)
        }
        print("\(compiled) of 1500 compiled")
        #expect(compiled > 100)
    }

    /// Exchanges values and names somewhere in the schema.
    private func mutate(_ value: JSONValue, _ seeds: [JSONValue], _ random: inout TestRandom, depth: Int) -> JSONValue {
        let scalars: [JSONValue] = [
            nil, true, false, 0, 3, -1, 2.5, 1e300, "", "string", "#", "#/$defs/node", "^a", [], [:], 99999,
        ]
        switch value {
        case .object(var members) where !members.isEmpty && random.int(0...9) > 0:
            let name = random.pick(Array(members.keys))
            switch random.int(0...5) {
            case 0: members[name] = nil
            case 1:
                members[random.pick(["not", "anyOf", "$ref", "type", "minimum", "items", "required", "x"])] =
                    random.pick(scalars)
            case 2: members[random.pick(["items", "additionalProperties"])] = random.pick(seeds)
            default: members[name] = mutate(members[name]!, seeds, &random, depth: depth + 1)
            }
            return .object(members)
        case .array(var elements) where !elements.isEmpty && random.int(0...9) > 0:
            let index = random.int(0...(elements.count - 1))
            switch random.int(0...3) {
            case 0: elements.remove(at: index)
            case 1: elements.append(random.pick(seeds))
            default: elements[index] = mutate(elements[index], seeds, &random, depth: depth + 1)
            }
            return .array(elements)
        default: return random.int(0...1) == 0 ? random.pick(scalars) : random.pick(seeds)
        }
    }
}
