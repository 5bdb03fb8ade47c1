// Runs an engine on an operating-system thread of its own and gives the asynchronous world a thin interface to it. The
// step is long and must not sit in the cooperative pool; so nothing here waits for it, and it waits for nobody.
import Foundation
import LLMKernels
import Synchronization

/// `submit` and `cancel` only leave a note; the thread reads all notes between two steps, so a request that is submitted
/// while a step runs is in the next one.
///
/// Buffering is bounded by what was accepted: at most `EngineLimits.maximumWaiting` requests wait, and a request's events
/// are at most one for each of its `maximumTokens` and one for its end.
package final class EngineThread: Sendable {
    package typealias Delivery = @Sendable (EngineEvent) -> Void

    private enum Command {
        case submit(any EngineRequest, Delivery)
        case cancel(UInt64)
    }

    private enum Phase { case open, draining, stopping, ended }

    private struct State {
        var phase = Phase.open
        var commands: [Command] = []
        /// Requests, and tokens of theirs, that are not in `stats` yet.
        var submitted = 0
        var submittedTokens = 0
        var stats: EngineStats
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    package let limits: EngineLimits
    /// The newest state of load, whenever a request ended. For one consumer: who tops the engine up waits here.
    package let capacity: AsyncStream<EngineStats>
    private let capacityContinuation: AsyncStream<EngineStats>.Continuation
    private let state: Mutex<State>
    private let wake = DispatchSemaphore(value: 0)

    /// Starts the thread. Memory for the cache is taken on it. The team is the engine's alone.
    package init(
        model: any StepModel, limits: EngineLimits, team: ThreadTeam, name: String = "engine"
    ) throws(EngineError) {
        try limits.validate()
        self.limits = limits
        var stats = EngineStats()
        stats.freeSlots = limits.maximumSequences
        stats.freeTokens = limits.cacheBlocks * TokenBlock.size
        state = Mutex(State(stats: stats))
        (capacity, capacityContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let thread = Thread { [self] in
            do throws(EngineError) {
                run(try Engine(model: model, limits: limits, team: team))
            } catch {
                preconditionFailure("limits were checked: \(error)")
            }
        }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    // MARK: From any thread

    /// Hands a request over. Exactly one last event will be delivered, refusals (`failed`) too.
    /// - Parameter deliver: called on the engine's thread between steps; must be quick and must not wait.
    package func submit(_ request: any EngineRequest, deliver: @escaping Delivery) {
        let refusal: EngineError? = state.withLock { state in
            guard state.phase == .open else { return .stopped }
            guard state.submitted + state.stats.waiting < limits.maximumWaiting else {
                return .busy(waiting: state.submitted + state.stats.waiting)
            }
            state.submitted += 1
            state.submittedTokens += request.tokenCount
            state.commands.append(.submit(request, deliver))
            return nil
        }
        if let refusal { deliver(.failed(request: request.id, refusal)) } else { wake.signal() }
    }

    /// The request's events. Ending the iteration early cancels the request.
    package func events(of request: any EngineRequest) -> AsyncStream<EngineEvent> {
        AsyncStream { continuation in
            continuation.onTermination = { [self] reason in
                if case .cancelled = reason { cancel(request.id) }
            }
            submit(request) { event in
                continuation.yield(event)
                if event.isLast { continuation.finish() }
            }
        }
    }

    /// Ends a request with what it has. Unless it has already ended, its last event follows: for a generation `finished`
    /// with the reason `cancelled`, else `failed` with `cancelled`.
    package func cancel(_ id: UInt64) {
        state.withLock { if $0.phase != .ended { $0.commands.append(.cancel(id)) } }
        wake.signal()
    }

    /// Load and work as of the last step, less what was submitted since.
    package var stats: EngineStats {
        state.withLock { state in
            var stats = state.stats
            stats.waiting += state.submitted
            stats.freeSlots = max(0, stats.freeSlots - state.submitted)
            stats.freeTokens = max(0, stats.freeTokens - state.submittedTokens)
            return stats
        }
    }

    /// Refuses new requests, finishes those it has, then ends the thread. Returns when it has ended.
    package func drain() async { await end(.draining) }

    /// Refuses new requests, cancels those it has (their outputs can be resumed), then ends the thread.
    package func stop() async { await end(.stopping) }

    private func end(_ phase: Phase) async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                if state.phase == .ended { return true }
                // Stopping overrides draining, not the other way round.
                if state.phase == .open || phase == .stopping { state.phase = phase }
                state.waiters.append(continuation)
                return false
            }
            if hasEnded { continuation.resume() } else { wake.signal() }
        }
    }

    // MARK: On the engine's thread

    private func run(_ engine: Engine) {
        var deliveries: [UInt64: Delivery] = [:]
        var commands: [Command] = []
        while true {
            let (phase, submitted, submittedTokens) = state.withLock { state in
                swap(&commands, &state.commands)
                return (state.phase, state.submitted, state.submittedTokens)
            }
            for command in commands { carryOut(command, engine, &deliveries) }
            commands.removeAll(keepingCapacity: true)
            if phase == .stopping { engine.cancelAll() }
            state.withLock { state in
                state.stats = engine.stats
                state.submitted -= submitted
                state.submittedTokens -= submittedTokens
            }
            if engine.hasWork {
                step(engine, &deliveries)
            } else if phase == .open {
                wake.wait()
            } else if endIfQuiet() {
                return
            }
        }
    }

    private func carryOut(_ command: Command, _ engine: Engine, _ deliveries: inout [UInt64: Delivery]) {
        switch command {
        case .submit(let request, let deliver):
            do throws(EngineError) {
                try engine.submit(request)
                deliveries[request.id] = deliver
            } catch {
                deliver(.failed(request: request.id, error))
                capacityContinuation.yield(stats)
            }
        case .cancel(let id):
            engine.cancel(id)
        }
    }

    private func step(_ engine: Engine, _ deliveries: inout [UInt64: Delivery]) {
        var hasFreed = false
        engine.step { event in
            deliveries[event.request]?(event)
            if event.isLast {
                deliveries[event.request] = nil
                hasFreed = true
            }
        }
        state.withLock { $0.stats = engine.stats }
        if hasFreed { capacityContinuation.yield(stats) }
    }

    /// False when a note came in the meantime.
    private func endIfQuiet() -> Bool {
        let waiters: [CheckedContinuation<Void, Never>]? = state.withLock { state in
            guard state.commands.isEmpty else { return nil }
            state.phase = .ended
            defer { state.waiters = [] }
            return state.waiters
        }
        guard let waiters else { return false }
        capacityContinuation.finish()
        for waiter in waiters { waiter.resume() }
        return true
    }
}
