// Python's string operations on UTF-8. Python compares, counts and cuts strings by code point; Swift's own operations
// work on characters and treat canonically equivalent text as equal, which would change prompts.
import Glibc

enum TemplateText {
    // MARK: Comparing and searching

    static func same(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && order(left, right) == 0
    }

    /// Negative, zero or positive. The order of UTF-8 bytes is the order of code points.
    static func order(_ left: String, _ right: String) -> Int {
        withBytes(left) { left in
            withBytes(right) { right in
                let shared = min(left.count, right.count)
                let result = shared == 0 ? 0 : Int(memcmp(left.baseAddress!, right.baseAddress!, shared))
                return result != 0 ? result : left.count - right.count
            }
        }
    }

    /// Byte offset of the first occurrence at or after `start`.
    static func find(_ needle: String, in text: String, from start: Int = 0) -> Int? {
        withBytes(text) { text in withBytes(needle) { find($0, in: text, from: start) } }
    }

    /// Linear in both lengths, whatever they hold: short needles are compared at each place where their first byte
    /// stands, long ones by Knuth, Morris and Pratt.
    static func find(
        _ needle: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>, from start: Int
    ) -> Int? {
        guard start + needle.count <= text.count else { return nil }
        guard needle.count > 0 else { return start }
        if needle.count > 32 { return findLong(needle, in: text, from: start) }
        let base = text.baseAddress!
        var place = start
        while place + needle.count <= text.count {
            let places = text.count - needle.count + 1 - place
            guard let hit = memchr(base + place, Int32(needle[0]), places) else { return nil }
            place = UnsafeRawPointer(hit) - UnsafeRawPointer(base)
            if memcmp(hit, needle.baseAddress!, needle.count) == 0 { return place }
            place += 1
        }
        return nil
    }

    private static func findLong(
        _ needle: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>, from start: Int
    ) -> Int? {
        // border[i]: the longest proper prefix of needle[...i] that is also its suffix.
        var border = [Int32](repeating: 0, count: needle.count)
        var length = 0
        for index in 1..<needle.count {
            while length > 0, needle[index] != needle[length] { length = Int(border[length - 1]) }
            if needle[index] == needle[length] { length += 1 }
            border[index] = Int32(length)
        }
        var matched = 0
        for index in start..<text.count {
            while matched > 0, text[index] != needle[matched] { matched = Int(border[matched - 1]) }
            if text[index] == needle[matched] { matched += 1 }
            if matched == needle.count { return index + 1 - matched }
        }
        return nil
    }

    /// Byte offset of the last occurrence. Searched backwards in mirrored text, since the C library searches forwards.
    static func findLast(_ needle: String, in text: String) -> Int? {
        let mirrored = Array(text.utf8.reversed())
        return Array(needle.utf8.reversed()).withUnsafeBufferPointer { needle in
            mirrored.withUnsafeBufferPointer { find(needle, in: $0, from: 0) }
        }.map { text.utf8.count - $0 - needle.utf8.count }
    }

    static func hasPrefix(_ text: String, _ prefix: String) -> Bool {
        text.utf8.starts(with: prefix.utf8)
    }

    static func hasSuffix(_ text: String, _ suffix: String) -> Bool {
        text.utf8.count >= suffix.utf8.count && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// Occurrences that do not overlap; an empty needle stands between all code points.
    static func occurrences(of needle: String, in text: String) -> Int {
        if needle.isEmpty { return count(text) + 1 }
        return withBytes(text) { text in
            withBytes(needle) { needle in
                var total = 0
                var place = 0
                while let found = find(needle, in: text, from: place) {
                    total += 1
                    place = found + needle.count
                }
                return total
            }
        }
    }

    // MARK: Counting and cutting

    /// Code points.
    static func count(_ text: String) -> Int { text.unicodeScalars.count }

    static func isASCII(_ text: String) -> Bool { withBytes(text) { $0.allSatisfy { $0 < 0x80 } } }

    /// Code points before a byte offset.
    static func scalarOffset(_ text: String, ofByte offset: Int) -> Int {
        withBytes(text) { $0[..<offset].count(where: { $0 & 0xC0 != 0x80 }) }
    }

    /// Byte offset of a code point; the end of the text for an index beyond it.
    static func byteOffset(_ text: String, ofScalar index: Int) -> Int {
        withBytes(text) { bytes in
            var left = index
            for (offset, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 {
                if left == 0 { return offset }
                left -= 1
            }
            return bytes.count
        }
    }

    static func bytes(_ text: String, _ range: Range<Int>) -> String {
        withBytes(text) { String(decoding: UnsafeBufferPointer(rebasing: $0[range]), as: UTF8.self) }
    }

    /// The code points at the given indices, which are all within the text.
    static func scalars(_ text: String, _ indices: SliceIndices) -> String {
        if indices.count == 0 { return "" }
        if indices.step == 1 {
            let start = byteOffset(text, ofScalar: indices.start)
            let rest = bytes(text, start..<text.utf8.count)
            return bytes(rest, 0..<byteOffset(rest, ofScalar: indices.count))
        }
        let all = Array(text.unicodeScalars)
        var result = String.UnicodeScalarView()
        for position in 0..<indices.count { result.append(all[indices[position]]) }
        return String(result)
    }

    // MARK: White space

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
            true
        default: false
        }
    }

    /// `strip`, `lstrip`, `rstrip`: white space, or the given code points, off one end or both.
    static func strip(_ text: String, characters: String? = nil, left: Bool = true, right: Bool = true) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
        var rest = text.unicodeScalars[...]
        if left { while let scalar = rest.first, goes(scalar) { rest.removeFirst() } }
        if right { while let scalar = rest.last, goes(scalar) { rest.removeLast() } }
        return rest.startIndex == text.startIndex && rest.endIndex == text.endIndex ? text : String(rest)
    }

    // MARK: Splitting and replacing

    /// `split(separator, limit)`; a negative limit means all.
    static func split(_ text: String, _ separator: String, limit: Int) -> [String] {
        withBytes(text) { text in
            withBytes(separator) { separator in
                var parts: [String] = []
                var place = 0
                while limit < 0 || parts.count < limit, let found = find(separator, in: text, from: place) {
                    parts.append(String(decoding: UnsafeBufferPointer(rebasing: text[place..<found]), as: UTF8.self))
                    place = found + separator.count
                }
                parts.append(String(decoding: UnsafeBufferPointer(rebasing: text[place...]), as: UTF8.self))
                return parts
            }
        }
    }

    /// `rsplit(separator, limit)`: as `split`, counted from the end.
    static func splitFromEnd(_ text: String, _ separator: String, limit: Int) -> [String] {
        let mirrored = Array(text.utf8.reversed())
        return Array(separator.utf8.reversed()).withUnsafeBufferPointer { separator in
            mirrored.withUnsafeBufferPointer { bytes in
                var parts: [String] = []
                var place = 0
                while limit < 0 || parts.count < limit, let found = find(separator, in: bytes, from: place) {
                    parts.append(String(decoding: bytes[place..<found].reversed(), as: UTF8.self))
                    place = found + separator.count
                }
                parts.append(String(decoding: bytes[place...].reversed(), as: UTF8.self))
                return parts.reversed()
            }
        }
    }

    /// `split(None, limit)`: words between white space.
    static func words(_ text: String, limit: Int) -> [String] {
        var parts: [String] = []
        var rest = text.unicodeScalars[...]
        while true {
            rest = rest.drop(while: isSpace)
            guard !rest.isEmpty else { return parts }
            if limit >= 0, parts.count == limit {
                parts.append(String(rest))
                return parts
            }
            let word = rest.prefix(while: { !isSpace($0) })
            parts.append(String(word))
            rest = rest[word.endIndex...]
        }
    }

    /// `rsplit(None, limit)`.
    static func wordsFromEnd(_ text: String, limit: Int) -> [String] {
        var parts: [String] = []
        var rest = text.unicodeScalars[...]
        while true {
            while let scalar = rest.last, isSpace(scalar) { rest.removeLast() }
            guard !rest.isEmpty else { break }
            if limit >= 0, parts.count == limit {
                parts.append(String(rest))
                break
            }
            let start = rest.lastIndex(where: isSpace).map { rest.index(after: $0) } ?? rest.startIndex
            parts.append(String(rest[start...]))
            rest = rest[..<start]
        }
        return parts.reversed()
    }

    /// `splitlines(keep)`: line ends are those of Unicode, and a last one opens no new line.
    static func lines(_ text: String, keepEnds: Bool) -> [String] {
        var result: [String] = []
        let scalars = text.unicodeScalars
        var start = scalars.startIndex
        var place = start
        while place < scalars.endIndex {
            let scalar = scalars[place]
            var next = scalars.index(after: place)
            switch scalar.value {
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
                if scalar == "\r", next < scalars.endIndex, scalars[next] == "\n" { next = scalars.index(after: next) }
                result.append(String(scalars[start..<(keepEnds ? next : place)]))
                start = next
            default: break
            }
            place = next
        }
        if start < scalars.endIndex { result.append(String(scalars[start...])) }
        return result
    }

    /// `replace(old, new, limit)`; a negative limit means all.
    static func replace(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
        if limit == 0 { return text }
        var result = ""
        if old.isEmpty {
            for (index, scalar) in text.unicodeScalars.enumerated() {
                if limit < 0 || index < limit { result += new }
                result.unicodeScalars.append(scalar)
            }
            return limit < 0 || count(text) < limit ? result + new : result
        }
        let parts = split(text, old, limit: limit)
        if parts.count == 1 { return text }
        for (index, part) in parts.enumerated() {
            if index > 0 { result += new }
            result += part
        }
        return result
    }

    // MARK: Case

    static func upper(_ text: String) -> String {
        mapScalars(text) { $0.properties.uppercaseMapping }
    }

    static func lower(_ text: String) -> String {
        if isASCII(text) { return text.lowercased() }
        let scalars = Array(text.unicodeScalars)
        var result = ""
        for index in scalars.indices { result += lower(scalars, index) }
        return result
    }

    static func swapCase(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var result = ""
        for (index, scalar) in scalars.enumerated() {
            let properties = scalar.properties
            result +=
                properties.isUppercase
                ? lower(scalars, index) : properties.isLowercase ? properties.uppercaseMapping : String(scalar)
        }
        return result
    }

    /// `str.title`: a cased code point after an uncased one opens a word.
    static func title(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var result = ""
        var insideWord = false
        for (index, scalar) in scalars.enumerated() {
            result += insideWord ? lower(scalars, index) : scalar.properties.titlecaseMapping
            insideWord = scalar.properties.isCased
        }
        return result
    }

    static func capitalize(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var result = ""
        for (index, scalar) in scalars.enumerated() {
            result += index == 0 ? scalar.properties.titlecaseMapping : lower(scalars, index)
        }
        return result
    }

    /// The `title` filter of Jinja2: words start after white space, hyphens and opening brackets.
    static func titleWords(_ text: String) -> String {
        func separates(_ scalar: Unicode.Scalar) -> Bool { isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) }
        var result = ""
        var rest = text.unicodeScalars[...]
        while !rest.isEmpty {
            let gap = rest.prefix(while: separates)
            result.unicodeScalars.append(contentsOf: gap)
            let word = rest[gap.endIndex...].prefix(while: { !separates($0) })
            if let first = word.first {
                result += first.properties.uppercaseMapping
                result += lower(String(word.dropFirst()))
            }
            rest = rest[word.endIndex...]
        }
        return result
    }

    private static func mapScalars(_ text: String, _ map: (Unicode.Scalar) -> String) -> String {
        if isASCII(text) { return text.uppercased() }
        var result = ""
        for scalar in text.unicodeScalars { result += map(scalar) }
        return result
    }

    /// One code point in lower case; a capital sigma at the end of a word becomes a final sigma.
    private static func lower(_ scalars: [Unicode.Scalar], _ index: Int) -> String {
        guard scalars[index] == "\u{3A3}" else { return scalars[index].properties.lowercaseMapping }
        func isCased(_ place: Int?) -> Bool { place.map { scalars[$0].properties.isCased } ?? false }
        let before = scalars[..<index].lastIndex { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].firstIndex { !$0.properties.isCaseIgnorable }
        return isCased(before) && !isCased(after) ? "\u{3C2}" : "\u{3C3}"
    }

    static func withBytes<Result>(_ text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        var text = text
        return text.withUTF8(body)
    }
}

/// The positions that a Python slice takes from a sequence of a known length.
struct SliceIndices {
    let start: Int
    let stop: Int
    let step: Int
    let count: Int

    /// `step` is not zero. Bounds are counted from the end when negative and clamped, as Python does.
    init(start: Int?, stop: Int?, step: Int, length: Int) {
        func place(_ bound: Int?, _ missing: Int) -> Int {
            guard let bound else { return missing }
            if bound < 0 { return bound < -length ? (step < 0 ? -1 : 0) : bound + length }
            return min(bound, step < 0 ? length - 1 : length)
        }
        let first = place(start, step < 0 ? length - 1 : 0)
        let end = place(stop, step < 0 ? -1 : length)
        self.start = first
        self.stop = end
        self.step = step
        // Distances are at most the length, so only a step at the edge of Int needs care.
        if step > 0 {
            count = end > first ? (end - first - 1) / step + 1 : 0
        } else {
            count = first > end ? Int((first - end - 1).magnitude / step.magnitude) + 1 : 0
        }
    }

    subscript(position: Int) -> Int { start + position * step }
}

// MARK: Kinds of text

extension TemplateText {
    /// `isalpha()` and its like, by the name of the method: all code points are of that kind, and there is one.
    static func test(_ method: String, _ text: String) -> Bool {
        let scalars = text.unicodeScalars
        switch method {
        case "isascii": return isASCII(text)
        case "isupper":
            return scalars.contains { $0.properties.isUppercase }
                && !scalars.contains { $0.properties.isLowercase || $0.properties.generalCategory == .titlecaseLetter }
        case "islower":
            return scalars.contains { $0.properties.isLowercase }
                && !scalars.contains { $0.properties.isUppercase || $0.properties.generalCategory == .titlecaseLetter }
        case "isspace": return !scalars.isEmpty && scalars.allSatisfy(isSpace)
        case "isalpha": return !scalars.isEmpty && scalars.allSatisfy(isLetter)
        case "isdecimal":
            return !scalars.isEmpty && scalars.allSatisfy { $0.properties.generalCategory == .decimalNumber }
        case "isdigit":
            return !scalars.isEmpty
                && scalars.allSatisfy { $0.properties.numericType == .decimal || $0.properties.numericType == .digit }
        case "isnumeric": return !scalars.isEmpty && scalars.allSatisfy { $0.properties.numericType != nil }
        default: return !scalars.isEmpty && scalars.allSatisfy(isAlphanumeric)
        }
    }

    static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
        isLetter(scalar) || scalar.properties.numericType != nil
    }
}
