// What the jobs of this worker use and have used: what it tells the queue when it asks for more.
import JobModel
import JobStorage

struct WorkAtHand {
    /// Chains that are remembered; as many distinct beginnings as the caches of a worker usually hold.
    private static let remembered = 8

    private let places: Int
    /// Jobs by the name that they ask for, from their claim to their end.
    private var running: [String: Int] = [:]
    /// The last one first.
    private var prefixes: [HotPrefix] = []

    /// - Parameter places: models in memory at the same time.
    init(places: Int) { self.places = places }

    mutating func begin(_ lease: Lease) {
        running[lease.model, default: 0] += 1
        guard let chain = lease.prefix else { return }
        let prefix = HotPrefix(model: lease.model, chain: chain)
        prefixes.removeAll { $0 == prefix }
        prefixes.insert(prefix, at: 0)
        if prefixes.count > Self.remembered { prefixes.removeLast() }
    }

    mutating func end(_ lease: Lease) {
        let others = running[lease.model, default: 1] - 1
        running[lease.model] = others > 0 ? others : nil
    }

    /// - Parameter inMemory: names of models; adapters are where their base is.
    mutating func affinity(_ registered: [RegisteredModel], inMemory: Set<String>) -> Affinity {
        let busy = Set(registered.filter { running[$0.name] != nil }.map { $0.base ?? $0.name })
        let isBusy = { (model: RegisteredModel) in busy.contains(model.base ?? model.name) }
        let isHere = { (model: RegisteredModel) in inMemory.contains(model.base ?? model.name) }
        let here = Set(registered.filter { isBusy($0) || isHere($0) }.map(\.name))
        // What left memory is computed anew.
        prefixes.removeAll { !here.contains($0.model) }
        return Affinity(
            busyModels: registered.filter(isBusy).map(\.name),
            idleModels: registered.filter { !isBusy($0) && isHere($0) }.map(\.name),
            places: max(0, places - busy.count), hotPrefixes: prefixes)
    }
}
