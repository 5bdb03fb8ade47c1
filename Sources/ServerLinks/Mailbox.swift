// From a thread to one asynchronous reader, in bounded memory, and without a silent loss.
import DequeModule
import Synchronization

/// What comes when the box is full takes the place of everything in it, and the reader is told how much it did not get: it
/// has to look up what it missed, and nothing old is worth more than that.
package final class Mailbox<Element: Sendable>: Sendable {
    private struct State: Sendable {
        var elements: Deque<Element> = []
        /// Given up since the reader was last told; when it is not 0, the first element tells it.
        var lost = 0
        var reader: CheckedContinuation<Element?, Never>?
        var isClosed = false
    }

    private let capacity: Int
    private let gap: @Sendable (_ lost: Int) -> Element
    private let state = Mutex(State())

    package init(capacity: Int, gap: @escaping @Sendable (_ lost: Int) -> Element) {
        precondition(capacity > 1, "a gap and what came after it need room")
        self.capacity = capacity
        self.gap = gap
    }

    /// - Returns: how many elements were given up for want of room.
    @discardableResult
    package func put(_ element: Element) -> Int {
        var lost = 0
        let reader: CheckedContinuation<Element?, Never>? = state.withLock { state in
            guard !state.isClosed else { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            if state.elements.count >= capacity {
                lost = state.elements.count - (state.lost > 0 ? 1 : 0)
                state.lost += lost
                state.elements.removeAll(keepingCapacity: true)
                state.elements.append(gap(state.lost))
            }
            state.elements.append(element)
            return nil
        }
        reader?.resume(returning: element)
        return lost
    }

    /// The reader gets what is there, then nil.
    package func close() {
        let reader = state.withLock { state in
            state.isClosed = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    /// One reader at a time; cancelling it closes the box.
    package func next() async -> Element? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Element?? = state.withLock { state in
                    precondition(state.reader == nil, "a mailbox has one reader")
                    if let element = state.elements.popFirst() {
                        state.lost = 0
                        return .some(element)
                    }
                    if state.isClosed { return .some(nil) }
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            close()
        }
    }
}
