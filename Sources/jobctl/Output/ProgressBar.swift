// How far a long wait is, on the terminal's last line.
import Foundation

struct ProgressBar {
    let total: Int
    private let start = Date()

    init(total: Int) { self.total = total }

    func draw(_ done: Int, failed: Int) {
        let filled = done * 30 / max(total, 1)
        var line = "\r\u{1B}[K[" + String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        line += "] \(done)/\(total)" + (failed > 0 ? ", \(failed) not succeeded" : "")
        let seconds = -start.timeIntervalSinceNow
        if done == total {
            line += String(format: ", %.1f s", seconds)
        } else if done > 0 {
            line += String(format: ", about %.0f s left", (seconds / Double(done) * Double(total - done)).rounded(.up))
        }
        write(line)
    }

    /// Makes room for a line of output.
    func clear() { write("\r\u{1B}[K") }

    func end() { write("\n") }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
