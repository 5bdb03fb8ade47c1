// Random edits of templates and values: a rendering gives a text or an error, within its bounds.
import JSON
import LLMPrompts
import OrderedCollections
import Testing

@Suite struct FuzzTests {
    private struct Random {
        var state: UInt64

        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }

        mutating func pick<Element>(_ elements: [Element]) -> Element { elements[next(elements.count)] }
    }

    private static let pieces = [
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "'", "\"", "(", ")", "[", "]", "{", "}", ".", ",", ":", "|", "=",
        "==",
        "<", "~", "*", "**", "/", "//", "%", " if ", " else ", " in ", " not ", " is ", " and ", "{% endif %}",
        "{% endfor %}",
        "{% for x in l %}", "{% if d %}", "{% set q = l %}", "{% break %}", "|map('upper')", "|list", "|tojson",
        "|sort",
        "|join('é')", "|indent", "|groupby('a')", "|unique", "|batch(2)", "|round(2)", "|int", ".split()", ".items()",
        ".format(1)", "[::-1]", "[-1]", "[1:]", "loop", "namespace()", "range(3)", "none", "true",
        "9223372036854775807", "-1",
        "0", "1e308", "''", "'%s'", "'{}'", "\\", "\n", "\u{3000}", "\u{301}", "é", "🇩🇪", "\r\n", "{% raw %}", "x.y",
        "d.a", "msg",
    ]

    private static func mutated(_ source: String, _ random: inout Random) -> String {
        var bytes = Array(source.utf8)
        for _ in 0...random.next(4) {
            let place = random.next(bytes.count + 1)
            switch random.next(5) {
            case 0: bytes.insert(contentsOf: random.pick(pieces).utf8, at: place)
            case 1: bytes.insert(UInt8(random.next(256)), at: place)
            case 2 where place < bytes.count:
                bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.next(8)))
            case 3 where place < bytes.count:
                let part = bytes[place..<min(bytes.count, place + 1 + random.next(40))]
                bytes.insert(contentsOf: part, at: random.next(bytes.count))
            default:
                if place < bytes.count { bytes[place] = UInt8(random.next(128)) }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func value(_ random: inout Random, depth: Int = 0) -> JSONValue {
        switch random.next(depth > 4 ? 6 : 8) {
        case 0: return .null
        case 1: return .bool(random.next(2) == 0)
        case 2: return .integer(random.pick([0, 1, -1, 7, .max, .min, 1 << 53]))
        case 3: return .number(random.pick([0.5, -0.0, 1e308, .leastNonzeroMagnitude, .infinity, .nan, 1e16, -2.5]))
        case 4, 5:
            var text = ""
            for _ in 0..<random.next(4) { text += random.pick(pieces) }
            return .string(text)
        case 6: return .array((0..<random.next(4)).map { _ in value(&random, depth: depth + 1) })
        default:
            var members: OrderedDictionary<String, JSONValue> = [:]
            for _ in 0..<random.next(4) {
                members[random.pick(["a", "b", "role", "content", "name", "items", "é", "tool_calls", "function"])] =
                    value(
                        &random, depth: depth + 1)
            }
            return .object(members)
        }
    }

    @Test func survivesMutation() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("template fuzz seed \(seed)")
        var random = Random(state: seed)
        let file = try Goldens.json("snippets.json")
        let context = try #require(file["context"]?.objectValue)
        let snippets = try #require(file["cases"]?.arrayValue).compactMap { $0["template"]?.stringValue }
        let chats = try #require(try Goldens.json("chats.json").objectValue).values.elements
        let templates = try [
            "llama31", "mistral_tools", "qwen3_thinking", "gemma3", "deepseek", "command_r", "granite", "harmony",
        ].map { try Goldens.template($0) }
        var limits = TemplateLimits()
        limits.work = 2 << 20
        limits.outputBytes = 1 << 20
        var (rendered, failed) = (0, 0)
        for round in 0..<30_000 {
            let isChat = round % 10 == 0
            let source = Self.mutated(isChat ? random.pick(templates) : random.pick(snippets), &random)
            var variables = context
            if isChat { variables = (try? Goldens.chat(random.pick(chats)).variables) ?? [:] }
            if random.next(3) == 0 {
                for name in variables.keys where random.next(3) == 0 { variables[name] = Self.value(&random) }
            }
            let text = try? ChatTemplate(source, limits: limits).render(variables, now: Goldens.now)
            if let text {
                rendered += 1
                #expect(text.utf8.count <= limits.outputBytes, "seed \(seed)")
            } else {
                failed += 1
            }
        }
        // Both ways are taken, so the edits are neither all fatal nor all harmless.
        #expect(rendered > 1000 && failed > 1000, "seed \(seed)")
    }

    /// The same template and values give the same text on many threads at once.
    @Test func rendersConcurrently() async throws {
        let template = try ChatTemplate(try Goldens.template("qwen3_thinking"))
        let chat = try Goldens.chat(try #require(try Goldens.json("chats.json")["calls_answered"]))
        let expected = try template.render(chat.variables, now: Goldens.now)
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask { (try? template.render(chat.variables, now: Goldens.now)) == expected }
            }
            for await isSame in group { #expect(isSame) }
        }
    }

    @Test func rendersAUsualChatInUnderAMillisecond() throws {
        let chats = try Goldens.json("chats.json")
        for (name, chatName) in [
            ("gguf/smollm2-135m-instruct", "turns"), ("llama31", "calls"), ("qwen3_thinking", "calls_answered"),
        ] {
            let template = try ChatTemplate(try Goldens.template(name))
            let chat = try Goldens.chat(try #require(chats[chatName]))
            var best = Duration.seconds(1)
            for _ in 0..<50 {
                let start = ContinuousClock.now
                _ = try template.render(chat.variables, now: Goldens.now)
                best = min(best, ContinuousClock.now - start)
            }
            print("\(name), \(chatName): \(best)")
            #expect(best < .milliseconds(1), "\(name)")
        }
    }
}
