// Whether a job that was run again gave the same bytes.
import JSON

package enum ReplayVerdict: Equatable, Sendable {
    case equal
    /// The first byte in which the results, as JSON text, differ.
    case different(offset: Int)
    /// The bytes differ, and had no need to agree: other things were computed with.
    case incomparable(reason: String)

    /// What may change a result's bytes, as `usage.provenance` names it. Neither the build nor the threads do.
    private static let conditions = [
        "model": "model digest", "adapter": "adapter digest", "cache": "kind of cache", "cpu": "CPU feature level",
    ]

    /// - Parameter again: the later one, succeeded as the first.
    package init(first: Job, again: Job) {
        let texts = [first, again].map { Array(($0.result ?? .null).text().utf8) }
        guard texts[0] != texts[1] else {
            self = .equal
            return
        }
        let provenances = [first, again].map { $0.usage?["provenance"] }
        guard let before = provenances[0], let after = provenances[1] else {
            self = .incomparable(reason: "a result does not tell what it was computed with")
            return
        }
        for (name, words) in Self.conditions.sorted(by: { $0.key < $1.key }) where before[name] != after[name] {
            let values = [before, after].map { $0[name]?.stringValue ?? "none" }
            self = .incomparable(reason: "another \(words): \(values[0]), now \(values[1])")
            return
        }
        self = .different(offset: zip(texts[0], texts[1]).prefix { $0 == $1 }.count { _ in true })
    }
}
