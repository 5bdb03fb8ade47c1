// Speculation: rows for tokens that may come next fill up a step that has room. The step then chooses the token after each
// of them too; as long as the choices agree with the guesses, they are what later steps would have chosen, bit for bit.

extension Engine {
    /// Adds drafts to the plan where sequences decode.
    func addDrafts() {
        drafts.removeAll(keepingCapacity: true)
        guard plan.rows < limits.draftRows else { return }
        var others = plan.items.count
        for index in plan.items.indices {
            let room = (limits.draftRows - plan.rows + others - 1) / others
            others -= 1
            let item = plan.items[index]
            guard room > 0, item.rows == 1, item.outputRows == 1, let sequence = slots[item.slot],
                case .logits(let reader) = sequence.reader
            else { continue }
            let start = drafts.count
            reader.draft(atMost: min(room, sequence.longest - item.position - 1), lookup, into: &drafts)
            let rows = scheduler.addDrafts(drafts.count - start, to: &plan, at: index)
            drafts.removeLast(drafts.count - start - rows)
        }
    }

    /// Tells sequences what came of their drafts.
    func judgeDrafts() {
        for item in plan.items where item.draftRows > 0 {
            guard let sequence = slots[item.slot], case .logits(let reader) = sequence.reader else { continue }
            let accepted = scheduler.slots[item.slot]!.computed - item.position - 1
            reader.learn(drafted: item.draftRows, accepted: accepted)
        }
    }
}
