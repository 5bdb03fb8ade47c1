// The identity of a model: which bytes it was loaded from.
import Crypto

package enum ModelDigest {
    /// SHA-256 of the whole file, as lower-case hexadecimal digits.
    package static func ofFile(_ file: MappedFile) -> String {
        var hash = SHA256()
        // In pieces, so that the hash follows the read-ahead of the page cache.
        let piece = 1 << 20
        var start = 0
        while start < file.bytes.count {
            let end = min(start + piece, file.bytes.count)
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: file.bytes[start..<end]))
            file.forget(start..<end)
            start = end
        }
        return hexadecimal(hash.finalize())
    }

    /// SHA-256 over one line `<digest>  <name>` per file, sorted by name: what
    /// `sha256sum $(ls | LC_ALL=C sort) | sha256sum` prints.
    package static func ofFiles(_ files: [(name: String, digest: String)]) -> String {
        var hash = SHA256()
        for file in files.sorted(by: { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }) {
            hash.update(data: Array("\(file.digest)  \(file.name)\n".utf8))
        }
        return hexadecimal(hash.finalize())
    }

    private static func hexadecimal(_ digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
