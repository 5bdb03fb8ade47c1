// One quantize job on one model: measures it, writes the copy, measures that, and gives it its name.
import Foundation
import Glibc
import JSON
import JobModel
import JobStorage
import LLMKernels
import LLMModels

struct QuantizeRun: Sendable {
    let input: QuantizeInput
    let parent: RegisteredModel
    /// The digest that is registered under the new name, if it is.
    let taken: String?
    let folder: String
    let threads: Int
    let job: JobID
    let runToken: RunToken

    struct Made: Sendable {
        let model: RegisteredModel
        let report: JSONValue
        /// False for what an earlier attempt left complete.
        let isNewFile: Bool
    }

    /// - Parameter progress: told the share that is done.
    func run(goOn: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (Double) -> Void) throws -> Made {
        let team = ThreadTeam(threads: threads)
        let source = try openModel(parent.uri)
        let copy = QuantizedCopy(of: try GGUFContent(source), to: input.target)
        progress(0)
        let before = try ModelMeasurement(
            source, bitsPerWeight: copy.sourceBitsPerWeight, text: input.text, team: team, goOn: goOn)
        guard before.digest == parent.digest else {
            throw ModelError.invalidFile(
                path: parent.uri, field: "SHA-256", reason: "\(before.digest), registered is \(parent.digest)")
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        removeDrafts()
        let draft = "\(folder)/\(drafts)\(runToken).gguf"
        defer { unlink(draft) }
        try copy.write(to: draft, team: team) { share in
            progress(0.3 + 0.3 * share)
            return goOn()
        }
        progress(0.6)
        let made = try GGUFModel(draft)
        let after = try ModelMeasurement(
            made, bitsPerWeight: copy.bitsPerWeight, text: input.text, team: team, goOn: goOn)
        progress(1)
        let path = "\(folder)/\(input.name).gguf"
        let isNewFile = try publish(draft, as: path, digest: after.digest)
        let model = RegisteredModel(
            name: input.name, digest: after.digest, architecture: made.architecture.rawValue,
            contextLength: made.configuration.contextLength, uri: path, bytes: after.bytes,
            parentDigest: parent.digest)
        return Made(model: model, report: report(model, before, after), isNewFile: isNewFile)
    }

    /// How the files of this job's attempts begin until they get their name.
    private var drafts: String { ".\(input.name).\(job)-" }

    /// What earlier attempts left that were killed. One that still runs has lost its lease, and can only fail.
    private func removeDrafts() {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for file in files where file.hasPrefix(drafts) { unlink("\(folder)/\(file)") }
    }

    private func report(_ model: RegisteredModel, _ before: ModelMeasurement, _ after: ModelMeasurement) -> JSONValue {
        [
            "name": .string(model.name), "to": .string(input.target.rawValue), "path": .string(model.uri),
            "digest": .string(after.digest), "parent": .string(parent.name), "parent_digest": .string(before.digest),
            "before": before.json, "after": after.json,
        ]
    }

    /// Gives the file its name, which must be free, or that of the same bytes: an attempt whose end was not stored. Returns
    /// whether it was free.
    private func publish(_ draft: String, as path: String, digest: String) throws -> Bool {
        guard taken == nil || taken == digest else { throw InputError.taken(input.name) }
        if link(draft, path) == 0 {
            syncFolder()
            return true
        }
        guard errno == EEXIST else {
            throw ModelError.unwritable(path: path, reason: String(cString: strerror(errno)))
        }
        guard try ModelDigest.ofFile(MappedFile(path)) == digest else {
            throw InputError(field: "input.name", reason: "\(path) exists and is another file")
        }
        return false
    }

    /// So that the name outlives a power cut, too.
    private func syncFolder() {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

extension InputError {
    static func taken(_ name: String) -> InputError {
        InputError(field: "input.name", reason: "\"\(name)\" is registered for another file")
    }
}
