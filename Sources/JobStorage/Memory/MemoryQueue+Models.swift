// The registry of models, as the triggers of 0007 keep it.

extension MemoryQueue {
    private func adapters(of name: String) -> String {
        models.values.filter { $0.base == name }.map(\.name).sorted().joined(separator: ", ")
    }

    mutating func register(_ model: RegisteredModel) throws(StoreError) {
        if let base = model.base {
            if base == model.name || !adapters(of: model.name).isEmpty {
                throw .refused("name: \"\(model.name)\" is a model that adapters need")
            }
            guard let found = models[base] else { throw .refused("base: \"\(base)\" is not registered") }
            if found.base != nil { throw .refused("base: \"\(base)\" is an adapter itself") }
        }
        models[model.name] = model
    }

    mutating func removeModel(_ name: String) throws(StoreError) -> Bool {
        let adapters = adapters(of: name)
        if !adapters.isEmpty { throw .refused("model: \"\(name)\" is the base of \(adapters); remove these first") }
        return models.removeValue(forKey: name) != nil
    }
}
