// What a worker has at hand, so that it gets the jobs that cost it least.

/// The models in a worker's memory and what it computed lately.
package struct Affinity: Sendable, Equatable {
    /// Jobs of these run or are about to: more of them cost no place.
    package var busyModels: [String]
    /// In memory, with nothing to do.
    package var idleModels: [String]
    /// How many models beside the busy ones may be used: idle ones, or others that are loaded in their place.
    package var places: Int
    package var hotPrefixes: [HotPrefix]

    package init(busyModels: [String], idleModels: [String], places: Int, hotPrefixes: [HotPrefix] = []) {
        self.busyModels = busyModels
        self.idleModels = idleModels
        self.places = places
        self.hotPrefixes = hotPrefixes
    }
}

/// A beginning of texts that a model has read lately.
package struct HotPrefix: Sendable, Hashable {
    package var model: String
    /// As `Lease.prefix`.
    package var chain: String

    package init(model: String, chain: String) {
        self.model = model
        self.chain = chain
    }
}
