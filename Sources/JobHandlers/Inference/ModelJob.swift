// What the jobs that need a model have in common. One type for each kind of job does the rest.
import JSON
import JobModel
import JobWorker

/// A job whose input has been read.
protocol ModelJob: Sendable {
    /// - Throws: what is wrong with the input.
    init(_ lease: Lease) throws(InputError)

    /// Does the job to its end. A cancelled task ends it within a step.
    /// - Throws: what is wrong with the input for this model.
    func run(on model: ResidentModel, _ calls: EngineCalls, _ progress: any ProgressSink) async throws(InputError)
        -> Outcome
}

/// A field of an input that is not as it must be. The message begins with the field's name.
package struct InputError: Error, CustomStringConvertible {
    package let field: String
    package let reason: String
    package var description: String { "\(field): \(reason)" }

    var failure: JobFailure { JobFailure(code: "invalid_input", message: description, field: field) }
}
