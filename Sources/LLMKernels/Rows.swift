// Row by row operations over the team: one static split for all of them.

/// Calls `body` for every row, split over the team unless the elements are few.
func forEachRow(_ rows: Int, elements: Int, team: ThreadTeam, _ body: (_ row: Int) -> Void) {
    if team.count == 1 || rows < 2 || elements < 1 << 14 {
        for row in 0..<rows { body(row) }
    } else {
        team.run { thread, threads in
            for row in share(rows, thread: thread, of: threads) { body(row) }
        }
    }
}
