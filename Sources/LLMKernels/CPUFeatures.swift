// Which set of kernels runs, and what can go wrong with the choice. The tables themselves are in CKernels.
import CKernels
import Foundation

package enum KernelError: Error, Equatable, CustomStringConvertible {
    case unknownLevel(String)
    case unsupportedLevel(String)
    case columnsNotInBlocks(layout: WeightLayout, columns: Int)
    case shapeOutOfRange(rows: Int, columns: Int)

    package var description: String {
        switch self {
        case .unknownLevel(let name):
            let known = CPUFeatureLevel.allCases.map(\.rawValue).joined(separator: ", ")
            return "MILLRACE_CPU: unknown level '\(name)' (known: \(known))"
        case .unsupportedLevel(let name):
            return "MILLRACE_CPU: this CPU does not have the level '\(name)'"
        case .columnsNotInBlocks(let layout, let columns):
            return "layout \(layout.rawValue) needs a multiple of \(WeightLayout.blockSize) columns, not \(columns)"
        case .shapeOutOfRange(let rows, let columns):
            return "no matrix of \(rows) × \(columns) can be packed"
        }
    }
}

/// The instruction sets that the kernels are written for, ascending. All give the same bytes.
package enum CPUFeatureLevel: String, Sendable, CaseIterable, Comparable {
    case scalar
    /// AVX2, FMA, F16C.
    case avx2
    /// AVX-512 F, BW, VL, DQ, VNNI.
    case avx512vnni
    /// NEON with dot products (ARMv8.2).
    case neon

    package static func < (a: CPUFeatureLevel, b: CPUFeatureLevel) -> Bool { a.code.rawValue < b.code.rawValue }

    /// The level in use: the highest of this CPU, or the one that the environment variable MILLRACE_CPU names.
    /// Programs call this once at start: with a variable that cannot be followed it throws, while the kernels
    /// themselves would go on with the highest level.
    package static func active() throws(KernelError) -> CPUFeatureLevel {
        let wish = ProcessInfo.processInfo.environment["MILLRACE_CPU"] ?? ""
        switch ck_selection_state() {
        case ck_unknown_level: throw .unknownLevel(wish)
        case ck_unsupported_level: throw .unsupportedLevel(wish)
        default: return allCases.first { $0.code == kernels.level } ?? .scalar
        }
    }

    /// The levels that this CPU has.
    package static var supported: [CPUFeatureLevel] { allCases.filter { ck_kernels_of($0.code) != nil } }

    private var code: ck_level {
        switch self {
        case .scalar: ck_scalar
        case .avx2: ck_avx2
        case .avx512vnni: ck_avx512vnni
        case .neon: ck_neon
        }
    }
}

/// The table of the active level.
let kernels: ck_kernels = ck_active().pointee
