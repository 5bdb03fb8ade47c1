import Testing

@testable import LLMInference

@Suite struct SchedulerTests {
    /// Plays random loads against the scheduler and checks every plan.
    @Test func keepsItsPromisesUnderRandomLoads() {
        var random = TestRandom()
        print("scheduler loads: seed \(random.seed)")
        var shared = 0
        for round in 0..<400 {
            var load = SchedulerLoad(&random)
            let report = load.run()
            shared += load.shared
            #expect(report == nil, "seed \(random.seed), round \(round): \(report ?? "")")
            if report != nil { return }
        }
        #expect(shared > 1000, "the loads were meant to share")
    }

    /// Every small configuration: slots, budget and blocks against every set of three prompt lengths.
    @Test func keepsItsPromisesForEverySmallConfiguration() {
        var random = TestRandom(seed: 7)
        for slots in 1...3 {
            for budget in slots...(slots + 3) {
                for blocks in 1...4 {
                    for shape in 0..<64 {
                        let lengths = [1, 15, 16, 17]
                        let prompts = [lengths[shape % 4], lengths[shape / 4 % 4], lengths[shape / 16]]
                        var load = SchedulerLoad(
                            slots: slots, budget: budget, blocks: blocks,
                            requests: prompts.enumerated().map {
                                .init(id: UInt64($0), prompt: $1, output: 1 + shape % 20)
                            },
                            &random)
                        let report = load.run()
                        #expect(
                            report == nil,
                            "slots \(slots) budget \(budget) blocks \(blocks) shape \(shape): \(report ?? "")")
                        if report != nil { return }
                    }
                }
            }
        }
    }

    @Test func decodesBeforeItPrefills() {
        var scheduler = Scheduler(slots: 2, tokenBudget: 8, blocks: 16)
        var plan = StepPlan(slots: 2)
        scheduler.enqueue(request: 1, priority: 0, known: 4, longest: 20)
        scheduler.plan(into: &plan)
        #expect(plan.items == [.init(slot: 0, position: 0, rows: 4, outputRows: 1)])
        scheduler.finishStep(plan)
        scheduler.extend(slot: 0)
        scheduler.enqueue(request: 2, priority: 0, known: 20, longest: 20)
        scheduler.plan(into: &plan)
        #expect(
            plan.items == [
                .init(slot: 0, position: 4, rows: 1, outputRows: 1),
                .init(slot: 1, position: 0, rows: 7, outputRows: 0),
            ])
    }

    @Test func theLastInOrderGivesItsBlocksUp() {
        var scheduler = Scheduler(slots: 2, tokenBudget: 64, blocks: 4)
        var plan = StepPlan(slots: 2)
        scheduler.enqueue(request: 1, priority: 0, known: 16, longest: 64)
        scheduler.enqueue(request: 2, priority: 0, known: 16, longest: 64)
        scheduler.plan(into: &plan)
        #expect(plan.admitted.map(\.request) == [1, 2])
        for length in 16..<64 {
            scheduler.finishStep(plan)
            for item in plan.items { scheduler.extend(slot: item.slot) }
            scheduler.plan(into: &plan)
            #expect(plan.items.contains { $0.slot == 0 }, "the first never pauses")
            if length == 32 { #expect(plan.preempted.map(\.request) == [2]) } else { #expect(plan.preempted.isEmpty) }
        }
        #expect(scheduler.waiting == 1 && scheduler.running == 1)
    }

    @Test func higherPriorityStartsFirstAndEqualOnesInOrder() {
        var scheduler = Scheduler(slots: 1, tokenBudget: 4, blocks: 4)
        var plan = StepPlan(slots: 1)
        for (id, priority) in [(1, 0), (2, 5), (3, 5), (4, -1), (5, 0)] {
            scheduler.enqueue(request: UInt64(id), priority: priority, known: 1, longest: 1)
        }
        var started: [UInt64] = []
        while !scheduler.isIdle {
            scheduler.plan(into: &plan)
            started += plan.admitted.map(\.request)
            scheduler.finishStep(plan)
            scheduler.finish(slot: 0)
        }
        #expect(started == [2, 3, 1, 5, 4])
    }
}

extension SchedulerTests {
    /// Starts requests one after another in one slot; `beginning`: the first 32 of their 33 tokens.
    private func starts(
        _ requests: [(id: UInt64, priority: Int, beginning: Int32)], blocks: Int = 6
    ) -> [UInt64] {
        var scheduler = Scheduler(slots: 1, tokenBudget: 64, blocks: blocks)
        var plan = StepPlan(slots: 1)
        for request in requests {
            let tokens = Array(repeating: request.beginning, count: 33)
            scheduler.enqueue(
                request: request.id, priority: request.priority, known: 33,
                tokenBlocks: TokenBlock.blocks(of: tokens, count: 33), longest: 33)
        }
        var started: [UInt64] = []
        while !scheduler.isIdle {
            scheduler.plan(into: &plan)
            started += plan.admitted.map(\.request)
            scheduler.finishStep(plan)
            scheduler.finish(slot: 0)
        }
        return started
    }

    @Test func thoseOnOneBeginningStartTogether() {
        #expect(starts([(1, 0, 7), (2, 0, 8), (3, 0, 7), (4, 0, 8), (5, 0, 7)]) == [1, 3, 5, 2, 4])
        #expect(starts([(1, 0, 7), (2, 0, 8), (3, 0, 9)]) == [1, 2, 3], "in order where nothing is shared")
        #expect(starts([(1, 1, 7), (2, 1, 8), (3, 0, 7)]) == [1, 2, 3], "priorities first")
    }

    @Test func nobodyIsPassedByForEver() {
        let others = (2...100 as ClosedRange<UInt64>).map { (id: $0, priority: 0, beginning: Int32(7)) }
        let started = starts([(0, 0, 7), (1, 0, 8)] + others)
        #expect(started.firstIndex(of: 1) == 1 + Scheduler.patience)
        let far = (0..<40).map { id -> (id: UInt64, priority: Int, beginning: Int32) in
            (id: UInt64(id), priority: 0, beginning: id == 30 ? 1 : Int32(id + 1))
        }
        // The 30th comes into sight when the 15th is the first.
        var order = (0..<40 as Range<UInt64>).map { $0 }
        order.insert(order.remove(at: 30), at: 15)
        #expect(starts(far, blocks: 200) == order)
    }
}

/// A simulated engine around a scheduler. `run` returns what was wrong, if anything was.
struct SchedulerLoad {
    struct Request {
        var id: UInt64
        var prompt: Int
        var output: Int
        var arrivalStep = 0
        var priority = 0
        var cancelStep: Int? = nil
        var replayed = 0
        /// The first `common` tokens are those of the family.
        var family = 0
        var common = 0

        func token(_ position: Int) -> Int32 {
            Int32(position < common ? family * 1000 + position % 7 : 10_000 + Int(id) * 1000 + position % 5)
        }

        func tokens(_ count: Int) -> [Int32] { (0..<count).map(token) }
    }

    private var scheduler: Scheduler
    private let slots: Int
    private let budget: Int
    private let blocks: Int
    private var requests: [Request]
    private var memory: [Int]
    /// Rows that were not computed, because others had.
    private(set) var shared = 0

    init(slots: Int, budget: Int, blocks: Int, requests: [Request], _ random: inout TestRandom) {
        self.slots = slots
        self.budget = budget
        self.blocks = blocks
        self.requests = requests.filter { $0.prompt + $0.output - 1 <= blocks * 16 }
        scheduler = Scheduler(slots: slots, tokenBudget: budget, blocks: blocks)
        memory = Array(repeating: -1, count: blocks * 16)
    }

    init(_ random: inout TestRandom) {
        let slots = random.int(1...8)
        let blocks = random.int(2...40)
        let levels = random.int(0...2)
        let requests = (0..<random.int(1...40)).map { index in
            let prompt = random.int(1...min(300, blocks * 16 - 1))
            let output = random.int(1...min(80, blocks * 16 - prompt))
            return Request(
                id: UInt64(index), prompt: prompt, output: output, arrivalStep: random.int(0...60),
                priority: random.int(0...levels), cancelStep: random.chance(0.15) ? random.int(0...100) : nil,
                replayed: random.chance(0.2) ? random.int(0...(output - 1)) : 0, family: random.int(0...2),
                common: random.chance(0.7) ? random.int(0...200) : 0)
        }
        self.init(slots: slots, budget: slots + random.int(0...40), blocks: blocks, requests: requests, &random)
    }

    mutating func run() -> String? {
        var known: [UInt64: Int] = [:]
        var computed: [UInt64: Int] = [:]
        var owner: [Int: UInt64] = [:]
        var done: Set<UInt64> = []
        var pendingArrivals = requests.sorted { ($0.arrivalStep, $0.id) < ($1.arrivalStep, $1.id) }
        let byID = Dictionary(uniqueKeysWithValues: requests.map { ($0.id, $0) })
        var plan = StepPlan(slots: slots)
        var started: Set<UInt64> = []
        var passedBy: [UInt64: Int] = [:]
        var arrived: [UInt64] = []
        // Each step computes something; pre-emption may repeat work, but an older sequence advances each time.
        let bound = 200 + requests.reduce(0) { $0 + $1.prompt + $1.output } * (requests.count + 1)
        var step = 0
        while done.count < requests.count {
            step += 1
            if step > bound { return "no end after \(step) steps: \(done.count) of \(requests.count) done" }
            while let next = pendingArrivals.first, next.arrivalStep <= step {
                pendingArrivals.removeFirst()
                arrived.append(next.id)
                known[next.id] = next.prompt + next.replayed
                computed[next.id] = 0
                scheduler.enqueue(
                    request: next.id, priority: next.priority, known: next.prompt + next.replayed,
                    tokenBlocks: TokenBlock.blocks(
                        of: next.tokens(next.prompt + next.replayed), count: next.prompt + next.replayed),
                    longest: next.prompt + next.output - 1, outputFrom: next.replayed > 0 ? next.prompt - 1 : .max)
            }
            for request in requests
            where request.cancelStep == step && known[request.id] != nil && !done.contains(request.id) {
                let slot = scheduler.cancel(request: request.id)
                if slot != owner.first(where: { $0.value == request.id })?.key {
                    return "cancel gave slot \(slot ?? -1)"
                }
                if let slot { owner[slot] = nil }
                done.insert(request.id)
            }
            scheduler.plan(into: &plan)
            if let problem = check(plan) { return "step \(step): \(problem)" }
            for move in plan.preempted {
                if owner.removeValue(forKey: move.slot) != move.request { return "pre-empted a stranger" }
                computed[move.request] = 0
            }
            for move in plan.admitted {
                if owner.updateValue(move.request, forKey: move.slot) != nil { return "slot \(move.slot) given twice" }
                let earlier = arrived.prefix { $0 != move.request }.filter {
                    byID[$0]!.priority >= byID[move.request]!.priority && !started.contains($0) && !done.contains($0)
                }
                for other in earlier { passedBy[other, default: 0] += 1 }
                let isUnfair =
                    earlier.count >= Scheduler.window
                    || earlier.contains {
                        byID[$0]!.priority > byID[move.request]!.priority || passedBy[$0]! > Scheduler.patience
                    }
                if isUnfair { return "\(move.request) overtook \(earlier)" }
                started.insert(move.request)
            }
            if plan.items.isEmpty {
                if !scheduler.isIdle {
                    return "stands still with \(scheduler.running) running, \(scheduler.waiting) waiting"
                }
                continue
            }
            for item in plan.items {
                guard let id = owner[item.slot] else { return "item for an empty slot" }
                let skipped = item.position - computed[id]!
                if skipped < 0 || skipped % 16 != 0 { return "rows of \(id) are not consecutive" }
                shared += skipped
                write(item, byID[id]!)
            }
            for item in plan.items {
                if !reads(item, byID[owner[item.slot]!]!) {
                    return "step \(step): \(owner[item.slot]!) reads others' tokens"
                }
            }
            scheduler.finishStep(plan)
            for item in plan.items {
                guard let id = owner[item.slot] else { return "item for an empty slot" }
                computed[id]! = item.position + item.rows
                if computed[id]! > known[id]! { return "rows beyond the known tokens" }
                if computed[id]! == known[id]! {
                    known[id]! += 1
                    if known[id]! == byID[id]!.prompt + byID[id]!.output {
                        scheduler.finish(slot: item.slot)
                        owner[item.slot] = nil
                        done.insert(id)
                    } else {
                        let block =
                            known[id]! % 16 == 0 ? TokenBlock(byID[id]!.tokens(known[id]!), from: known[id]! - 16) : nil
                        scheduler.extend(slot: item.slot, completing: block)
                    }
                }
            }
        }
        if scheduler.pool.availableCount != blocks { return "blocks leaked" }
        return scheduler.pool.problem(tables: [])
    }

    /// What the rows of an item leave in the cache: tokens, each with its position.
    private mutating func write(_ item: StepPlan.Item, _ request: Request) {
        let table = scheduler.slots[item.slot]!.table.blocks
        for position in item.position..<item.position + item.rows {
            memory[Int(table[position / 16]) * 16 + position % 16] = Int(request.token(position)) << 20 + position
        }
    }

    /// Whether the item's last row finds the tokens of its own sequence in the cache.
    private func reads(_ item: StepPlan.Item, _ request: Request) -> Bool {
        let table = scheduler.slots[item.slot]!.table.blocks
        return (0..<item.position + item.rows).allSatisfy { position in
            memory[Int(table[position / 16]) * 16 + position % 16] == Int(request.token(position)) << 20 + position
        }
    }

    private func check(_ plan: StepPlan) -> String? {
        let rows = plan.items.reduce(0) { $0 + $1.rows }
        if rows > budget || rows != plan.rows { return "\(rows) rows for a budget of \(budget)" }
        if plan.items.contains(where: { $0.rows < 1 || !(0...$0.rows ~= $0.outputRows) }) { return "rows of an item" }
        if Set(plan.items.map(\.slot)).count != plan.items.count { return "a slot twice" }
        if let problem = scheduler.pool.problem(tables: scheduler.slots.compactMap { $0?.table.blocks }) {
            return problem
        }
        let running = scheduler.slots.indices.filter { scheduler.slots[$0] != nil }
        for slot in running where scheduler.slots[slot]!.pending == 1 {
            if !plan.items.contains(where: { $0.slot == slot }) { return "a decoding sequence was left out" }
        }
        return nil
    }
}
