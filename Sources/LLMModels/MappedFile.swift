// A file mapped into memory, read-only. Pages come from the page cache on first use, so that opening a model of many
// gigabytes costs nothing until its weights are read.
import Glibc

/// The bytes of one regular file. They stay mapped as long as the object lives.
///
/// A file that another program shortens while it is mapped kills the process on the next access (SIGBUS): model files
/// are replaced by rename, never rewritten in place.
package final class MappedFile: Sendable {
    package let path: String
    /// All bytes of the file; valid as long as this object lives.
    nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer

    /// - Parameter maximumSize: a longer file is refused; for files that are parsed as a whole.
    package init(_ path: String, maximumSize: Int = .max) throws(ModelError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: systemReason()) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unreadable(path: path, reason: systemReason()) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path: path, reason: "not a regular file") }
        let size = Int(status.st_size)
        guard size > 0 else { throw .unreadable(path: path, reason: "the file is empty") }
        guard size <= maximumSize else {
            throw .unreadable(path: path, reason: "\(size) bytes, more than the \(maximumSize) that are allowed here")
        }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw .unreadable(path: path, reason: systemReason())
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    /// Says that this part is not needed soon: its pages leave the process and stay in the system's page cache.
    func forget(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (max(0, range.lowerBound) + page - 1) / page * page
        // The last page of the file belongs to nothing else.
        let end = range.upperBound >= bytes.count ? bytes.count : range.upperBound / page * page
        guard start < end else { return }
        madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress! + start), end - start, MADV_DONTNEED)
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count)
    }

    /// Whether a regular file stands at this path (links are followed).
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

/// The reason of the last failed system call of this thread.
func systemReason() -> String { String(cString: strerror(errno)) }
