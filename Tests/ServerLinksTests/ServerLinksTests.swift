// Waiting, waking, and handing over, without any server.
import Foundation
import Glibc
import Logging
import ServerLinks
import Synchronization
import TestSupport
import Testing

@Suite struct ServerLinksTests {
    @Test func deadlinesRoundUp() {
        #expect(Deadline.never.milliseconds == -1 && !Deadline.never.isOver)
        #expect(Deadline(in: nil).milliseconds == -1)
        #expect(Deadline(in: 0).isOver && Deadline(in: -5).milliseconds == 0)
        #expect((59_000...60_001).contains(Deadline(in: 60).milliseconds))
        #expect(Deadline(in: 1e9).milliseconds > 0)
        #expect((900...1001).contains(Deadline.never.within(1).milliseconds))
        #expect((900...1001).contains(Deadline(in: 60).within(1).milliseconds))
        #expect(Deadline(in: 0).within(1).isOver)
    }

    @Test func aWakeEndsTheWaitBeforeOrAfterItsBegin() {
        let waker = Waker()
        #expect(!waker.wait(until: Deadline(in: 0.01)))
        waker.wake()
        waker.wake()
        #expect(waker.wait(until: .never))
        #expect(waker.wait(until: .never))
        waker.clear()
        #expect(!waker.wait(until: Deadline(in: 0)))
        Thread { waker.wake() }.start()
        #expect(waker.wait(until: .never))
    }

    @Test func aSocketIsReadyWhenItSpeaks() {
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { close(ends[0]) }
        #expect(SocketWait.wait(for: ends[0], until: Deadline(in: 0.01)) == .timedOut)
        #expect(SocketWait.wait(for: ends[0], writing: true, until: .never) == .ready(readable: false))
        // The other end is gone: that is something to read, too.
        close(ends[1])
        #expect(SocketWait.wait(for: ends[0], until: .never) == .ready(readable: true))
    }

    @Test func waitingTimesGrowToTheirBound() {
        var backoff = Backoff(first: 0.1, longest: 2)
        let waits = (0..<100).map { _ in backoff.next() }
        #expect((0.05...0.1).contains(waits[0]) && waits.allSatisfy { $0 <= 2 } && waits[99] >= 1)
        backoff.reset()
        #expect(backoff.next() <= 0.1)
    }

    @Test func aFullMailboxSaysWhatItGaveUp() async {
        let box = Mailbox<Int>(capacity: 3) { -$0 }
        #expect((1...3).map { box.put($0) } == [0, 0, 0])
        #expect(box.put(4) == 3)
        #expect(box.put(5) == 0)
        #expect(box.put(6) == 2)
        box.close()
        box.put(7)
        var read: [Int] = []
        while let element = await box.next() { read.append(element) }
        #expect(read == [-5, 6])
    }

    @Test func nothingIsLostBetweenAThreadAndItsReader() async {
        let box = Mailbox<Int>(capacity: 1_000_000) { -$0 }
        Thread {
            for number in 0..<100_000 { box.put(number) }
            box.close()
        }.start()
        var expected = 0
        while let number = await box.next() {
            #expect(number == expected)
            expected += 1
        }
        #expect(expected == 100_000)
    }

    @Test func aCancelledReaderGetsNothingMore() async {
        let box = Mailbox<Int>(capacity: 10) { -$0 }
        let reader = Task { await box.next() }
        reader.cancel()
        #expect(await reader.value == nil)
    }

    /// A connection that fails is made again; the reader hears each loss, the log the first of them.
    @Test func aLostConnectionIsMadeAgain() async {
        struct Lost: Error {}
        let records = LogRecords()
        let tries = Atomic<Int>(0)
        let subscription = Subscription<Int>(
            name: "listening", capacity: 10, logger: records.logger, gap: { _ in -1 }, interrupted: { _ in 0 },
            hold: { session in
                let number = tries.wrappingAdd(1, ordering: .relaxed).newValue
                guard number == 1 || number >= 4 else { throw Lost() }
                session.established(number)
                if number == 1 { throw Lost() }
                #expect(session.wait(for: -1, seconds: 600))
            })
        var events: [Int] = []
        for await event in subscription.events {
            events.append(event)
            if event == 4 { subscription.stop() }
        }
        #expect(events == [1, 0, 0, 0, 4])
        #expect(
            records.lines == [
                "warning listening is interrupted: Lost()", "debug listening is interrupted: Lost()",
                "debug listening is interrupted: Lost()", "notice listening goes on after 3 failed tries",
            ])
    }
}
