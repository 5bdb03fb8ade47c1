// Hostile templates and values: every one ends with an error, soon, on a small stack.
import Foundation
import JSON
import LLMPrompts
import Synchronization
import Testing

@Suite struct LimitTests {
    private static func render(_ source: String, _ variables: JSONValue = [:]) throws(TemplateError) -> String {
        try ChatTemplate(source).render(variables.objectValue ?? [:], now: Goldens.now)
    }

    /// Templates that want too much time, memory or depth.
    static let hostile: [String] = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}",
        "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}"
            + "{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}",
        "{% set ns = namespace(l=(1,)) %}{% for i in range(99) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ {ns.l: 1} }}",
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}",
        "{% set ns = namespace(l={}) %}{% for i in range(99999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l]|map('list') %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% for q in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l].count %}{% endfor %}",
        "{% set ns = namespace(l={}) %}{% for i in range(99999) %}{% set ns.l = {'a': ns.l}.items() %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ [x]|map('string')|first }}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
        "{% macro m() %}{% call m() %}{{ caller }}{% endcall %}{% endmacro %}{{ m() }}",
        "{{ 'a' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ 'ab' * 9223372036854775807 }}",
        "{{ 'a'.center(99999999999) }}", "{{ 'a'.zfill(9223372036854775807) }}", "{{ 'a'|center(99999999999) }}",
        "{{ '%99999999999d' % 1 }}", "{{ '%.99999999999f' % 1 }}", "{{ '{:99999999999}'.format(1) }}",
        "{{ '%*d' % (9223372036854775807, 1) }}", "{{ 1|tojson(indent=99999999999) ~ [1]|tojson(indent=99999999999) }}",
        "{{ ('a' * 16000000).replace('a', 'b' * 1000) }}", "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
        "{{ ('b' * 1000000).join('a' * 100000) }}", "{{ ('\n' * 1000000)|indent(1000000) }}",
        "{{ 'a\nb'|indent(9223372036854775807) }}", "{{ [1, 2]|tojson(separators=('a' * 16000000, 'b')) * 9 }}",
        "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% for i in range(99999) %}{% if s.find('ab') == 1 %}{% endif %}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% set t = 'a' * 4000000 ~ 'b' %}{% for i in range(99999) %}{% if t in s %}{% endif %}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% set t = 'b' ~ 'a' * 4000000 %}{% for i in range(99999) %}{% set x = s.rsplit(t) %}{% endfor %}",
        "{% set l = range(99999)|list %}{% for i in l %}{% if -1 in l %}{% endif %}{% endfor %}",
        "{% set l = range(99999)|list %}{% for i in l %}{% set x = l|sort %}{% endfor %}",
        "{{ range(100001) }}", "{{ range(-9223372036854775807, 9223372036854775807) }}",
        "{{ range(9223372036854775807, -9223372036854775807, -1) }}",
        "{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 9223372036854775807 * 2 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}", "{{ 9 ** 999999999999 }}",
        "{{ (-9223372036854775807 - 1)|abs }}", "{{ 99999999999999999999 }}", "{{ 1e300|int }}",
        "{{ ('9' * 30)|int }}", "{{ 10.0 ** 400 }}", "{{ (-8) ** 0.5 }}", "{{ 'inf'|float|int }}",
        "{{ strftime_now('%99999999d') }}", "{{ strftime_now('%A' * 999) }}", "{{ strftime_now('a\\0b') }}",
        "{{ " + String(repeating: "(", count: 100_000) + " }}",
        "{{ " + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000) + " }}",
        "{{ " + String(repeating: "-", count: 100_000) + "1 }}",
        "{{ " + String(repeating: "not ", count: 100_000) + "1 }}",
        "{{ " + String(repeating: "1 if 1 else ", count: 50_000) + "1 }}",
        "{{ 1" + String(repeating: " if 1", count: 100_000) + " }}",
        String(repeating: "{% if 1 %}", count: 50_000), String(repeating: "{% for a in b %}", count: 50_000),
        "{% set " + String(repeating: "(", count: 100_000) + " %}",
        "{{ x is " + String(repeating: "a ", count: 100_000) + " }}",
        "{{ x" + String(repeating: "[x", count: 100_000) + " }}",
        "{{ '\\ud800' }}", "{{ '\\U00110000' }}", "{{ 'a", "{% raw %}", "{{ {'a': ", "{#", "{%", "{{", "{% set x %}",
        "{{ l[::0] }}", "{{ [1][::-9223372036854775807 - 1] }}{{ x.y.z }}",
        String(repeating: "a", count: 1 << 20) + "b",
    ]

    /// Long, but flat: these render.
    static let long: [(String, String)] = [
        ("{{ 1" + String(repeating: " + 1", count: 50_000) + " }}", "50001"),
        ("{{ 'a'" + String(repeating: "|upper", count: 50_000) + " }}", "A"),
        ("{{ 1" + String(repeating: " and 1", count: 50_000) + " }}", "1"),
        ("{{ 1" + String(repeating: " < 2 > 1", count: 50_000) + " }}", "True"),
        ("{{ 'a'" + String(repeating: " ~ ''", count: 10_000) + " }}", "a"),
        ("{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 30_000) + "{% else %}x{% endif %}", "x"),
        ("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% else %}end{% endif %}{% endmacro %}{{ m(50) }}", "end"),
        ("{{ [1, 2, 3][::-9223372036854775807] }}{{ [1, 2, 3][9223372036854775807:] }}", "[3][]"),
        ("{{ 'abc'[-9223372036854775807:9223372036854775807] }}", "abc"),
        ("{{ range(9223372036854775806, 9223372036854775807)|list }}", "[9223372036854775806]"),
        ("{{ (-9223372036854775807 - 1) % -1 }}", "0"), ("{{ -1 in range(5, 0, -1) }}", "False"),
        ("{{ range(0, 9, 9223372036854775807)[::9223372036854775807]|list }}", "[0]"),
        ("{{ (-9223372036854775807 - 1) in range(0, -9, -1) }}", "False"),
        ("{{ 1|round(-400) }}{{ 1.5|round(-400) }}{{ 1.5|round(400) }}", "00.01.5"),
    ]

    /// Runs everything on a stack of 512 KiB, the smallest that a secondary thread may have.
    private static func onSmallStack(_ body: @escaping @Sendable () -> Void) {
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            body()
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
    }

    @Test func endsHostileTemplatesWithAnError() {
        let failures = Mutex<[String]>([])
        Self.onSmallStack {
            for source in Self.hostile {
                let start = ContinuousClock.now
                let text = try? Self.render(source, ["l": [1, 2]])
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                if text != nil { failures.withLock { $0.append("renders: \(source.prefix(200))") } }
                if seconds > 20 { failures.withLock { $0.append("\(seconds) s: \(source.prefix(200))") } }
            }
        }
        #expect(failures.withLock { $0 } == [])
    }

    @Test func rendersLongChains() {
        let failures = Mutex<[String]>([])
        Self.onSmallStack {
            for (source, expected) in Self.long {
                let result = Result { () throws(TemplateError) in try Self.render(source) }
                if (try? result.get()) != expected {
                    failures.withLock { $0.append("\(source.prefix(100)): \(result)") }
                }
            }
        }
        #expect(failures.withLock { $0 } == [])
    }

    @Test func refusesDeepValues() {
        var value: JSONValue = 1
        for _ in 0..<1000 { value = [value] }
        let deep = value
        Self.onSmallStack {
            #expect(throws: TemplateError.self) { try Self.render("{{ deep }}", ["deep": deep]) }
        }
    }

    /// Values that refer to themselves are freed: a namespace that holds itself prints as an error and leaves no trace.
    @Test func survivesValuesThatHoldThemselves() throws {
        let source = """
            {% set ns = namespace() %}{% set ns.me = ns %}{% macro m() %}{{ ns.m is defined }}{% endmacro %}\
            {% set ns.m = m %}{% for i in range(2) %}{% set same = loop.changed(loop) %}{{ same }}{% endfor %}{{ ns.me.m() }}
            """
        #expect(try Self.render(source) == "TrueFalseTrue")
        #expect(throws: TemplateError.self) { try Self.render("{% set n = namespace() %}{% set n.n = n %}{{ n }}") }
    }

    @Test(arguments: [
        ("a\n  {{ 1 + }}", 2, 10), ("{% if x %}\n\n{% endfor %}", 3, 4), ("é {{ 'é' ~ 1 / 0 }}", 1, 14),
        ("{{ 'a", 1, 4),
        ("\r\n{{ x.y }}", 2, 5), ("{% for a in 5 %}{% endfor %}", 1, 4), ("{{ raise_exception('no') }}", 1, 19),
        ("{{ x|nosuch }}", 1, 6), ("{# open", 1, 1), ("{% macro m() %}\n{{ 1 + n }}{% endmacro %}\n{{ m() }}", 2, 6),
    ])
    func saysWhereItFails(source: String, line: Int, column: Int) throws {
        let error = try #require(throws: TemplateError.self) { try Self.render(source) }
        switch error {
        case .syntax(_, let position), .evaluation(_, let position), .raised(_, let position), .limit(_, let position):
            #expect(position.line == line && position.column == column, "\(error)")
        default: Issue.record("\(error)")
        }
    }
}
