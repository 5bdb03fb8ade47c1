// What is published when a job ends.
import JSON

/// `{"id","kind","state","attempt","seq","finished_at","result"?}`; the result when it is small.
package struct JobEvent: Sendable, Equatable {
    package let id: JobID
    /// Number of the event; for one job it only grows.
    package let sequence: Int64
    /// The event as it goes over the wire.
    package let payload: JSONValue

    package init(id: JobID, sequence: Int64, event: JSONValue) {
        self.id = id
        self.sequence = sequence
        guard case .object(var members) = event else {
            payload = event
            return
        }
        members["seq"] = .integer(sequence)
        payload = .object(members)
    }

    package var state: JobState? { payload["state"]?.stringValue.flatMap(JobState.init) }
    package var result: JSONValue? { payload["result"] }
    package var withoutResult: JobEvent {
        guard case .object(var members) = payload else { return self }
        members["result"] = nil
        return JobEvent(id: id, sequence: sequence, event: .object(members))
    }

    package static let channel = "millrace:events"
    package static func channel(of job: JobID) -> String { "millrace:job:\(job)" }
    package static func resultKey(of job: JobID) -> String { "millrace:result:\(job)" }
}
