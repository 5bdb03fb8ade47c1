// Row by row operations over the team. Several are done in one go, row after row: each finds its row in the cache, and the
// team meets once.
import CKernels

/// What is done to one row. A value of plain pointers, checked when it is made.
package enum RowOperation {
    case rmsNorm(RMSNorm)
    case layerNorm(LayerNorm)
    case rotate(Rotation)
    case store(TokenStore)
    case map(RowMap)
    case combine(RowCombination)
    case scale(RowScaling)
    case quantize(RowQuantization)
    case change(LowRankAddition)

    func apply(_ row: Int) {
        switch self {
        case .rmsNorm(let operation): operation.apply(row)
        case .layerNorm(let operation): operation.apply(row)
        case .rotate(let operation): operation.apply(row)
        case .store(let operation): operation.apply(row)
        case .map(let operation): operation.apply(row)
        case .combine(let operation): operation.apply(row)
        case .scale(let operation): operation.apply(row)
        case .quantize(let operation): operation.apply(row)
        case .change(let operation): operation.apply(row)
        }
    }
}

extension ThreadTeam {
    /// Does the operations, those that are there, one after another to every row 0..<rows; `columns`: elements that one
    /// row's operations go over, which decides whether the team is worth calling. An operation may read what earlier ones
    /// wrote to the same row only.
    package func eachRow(
        _ rows: Int, columns: Int, _ first: RowOperation?, _ second: RowOperation? = nil, _ third: RowOperation? = nil,
        _ fourth: RowOperation? = nil, _ fifth: RowOperation? = nil, _ sixth: RowOperation? = nil
    ) {
        let isIdle =
            first == nil && second == nil && third == nil && fourth == nil && fifth == nil && sixth == nil
        if isIdle || rows == 0 { return }
        var run = RowRun(rows: rows, operations: (first, second, third, fourth, fifth, sixth))
        self.run(&run, parts: parts(of: rows, work: rows * columns, atLeast: 1 << 12)) { context, part, parts, _ in
            context!.assumingMemoryBound(to: RowRun.self).pointee.part(Int(part), of: Int(parts))
        }
    }
}

private struct RowRun {
    typealias Operations = (
        RowOperation?, RowOperation?, RowOperation?, RowOperation?, RowOperation?, RowOperation?
    )
    let rows: Int
    let operations: Operations

    func part(_ part: Int, of parts: Int) {
        for row in share(rows, part: part, of: parts) {
            operations.0?.apply(row)
            operations.1?.apply(row)
            operations.2?.apply(row)
            operations.3?.apply(row)
            operations.4?.apply(row)
            operations.5?.apply(row)
        }
    }
}
