// Row by row operations over the team: one static split for all of them, without allocation.

/// The operands of one operation on rows. A value of plain pointers: the team's threads call it through its address.
protocol RowOperation {
    func apply(_ row: Int)
}

/// Applies the operation to every row, split over the team unless there are few elements.
func forEachRow(_ rows: Int, elements: Int, team: ThreadTeam, _ operation: some RowOperation) {
    if team.count == 1 || rows < 2 || elements < 1 << 14 {
        for row in 0..<rows { operation.apply(row) }
        return
    }
    withUnsafePointer(to: operation) { pointer in
        var run = RowRun(rows: rows, operation: pointer, type: type(of: operation))
        team.run(&run, alone: false) { context, thread, threads in
            context!.assumingMemoryBound(to: RowRun.self).pointee.part(Int(thread), of: Int(threads))
        }
    }
}

/// A C function cannot be generic: it finds the operation's type here.
private struct RowRun {
    let rows: Int
    let operation: UnsafeRawPointer
    let type: any RowOperation.Type

    func part(_ thread: Int, of threads: Int) {
        type.apply(operation, to: share(rows, thread: thread, of: threads))
    }
}

extension RowOperation {
    fileprivate static func apply(_ operation: UnsafeRawPointer, to rows: Range<Int>) {
        let operation = operation.assumingMemoryBound(to: Self.self)
        for row in rows { operation.pointee.apply(row) }
    }
}
