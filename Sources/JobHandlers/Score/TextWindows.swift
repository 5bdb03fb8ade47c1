// How a text of any length is read by a model with a context of some length.

/// Windows of at most `window` tokens, each with the begin-of-text token first where the model wants one, that move on by
/// `stride` tokens. Each window scores what no earlier one has scored. A window that begins where the last one ended, and
/// has no begin-of-text token, can't score its first token: nothing stands before it.
struct TextWindows {
    struct Window: Equatable {
        /// Of the text's tokens, those that it reads, and those of them that it scores.
        var tokens: Range<Int>
        var scored: Range<Int>
    }

    let windows: [Window]

    init(tokens count: Int, window: Int, stride: Int?, hasFirst: Bool) {
        let longest = max(1, window - (hasFirst ? 1 : 0))
        let step = min(stride ?? longest, longest)
        var windows: [Window] = []
        var start = 0
        var done = 0
        while done < count {
            let end = min(start + longest, count)
            let first = start == done && !hasFirst ? done + 1 : done
            if first < end { windows.append(Window(tokens: start..<end, scored: first..<end)) }
            done = end
            start += step
        }
        self.windows = windows
    }
}
