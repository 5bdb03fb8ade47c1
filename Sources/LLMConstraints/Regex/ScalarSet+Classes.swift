// Character classes of regular expressions.

extension ScalarSet {
    static let digits = ScalarSet([0x30...0x39])
    static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let spaces = ScalarSet([0x09...0x0D, 0x20...0x20])

    /// The only element.
    var single: UInt32? { ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil }

    /// A general category by its short name, or a group of them by its letter. Nil for another name.
    static func category(_ name: String) -> ScalarSet? {
        guard let wanted = categories[name] else { return nil }
        return ScalarSet(wanted.flatMap { byCategory[$0] ?? [] })
    }

    private static let categories: [String: [Unicode.GeneralCategory]] = {
        let single: [(String, Unicode.GeneralCategory)] = [
            ("Lu", .uppercaseLetter), ("Ll", .lowercaseLetter), ("Lt", .titlecaseLetter), ("Lm", .modifierLetter),
            ("Lo", .otherLetter), ("Mn", .nonspacingMark), ("Mc", .spacingMark), ("Me", .enclosingMark),
            ("Nd", .decimalNumber), ("Nl", .letterNumber), ("No", .otherNumber), ("Pc", .connectorPunctuation),
            ("Pd", .dashPunctuation), ("Ps", .openPunctuation), ("Pe", .closePunctuation),
            ("Pi", .initialPunctuation), ("Pf", .finalPunctuation), ("Po", .otherPunctuation), ("Sm", .mathSymbol),
            ("Sc", .currencySymbol), ("Sk", .modifierSymbol), ("So", .otherSymbol), ("Zs", .spaceSeparator),
            ("Zl", .lineSeparator), ("Zp", .paragraphSeparator), ("Cc", .control), ("Cf", .format),
            ("Co", .privateUse), ("Cn", .unassigned),
        ]
        var categories: [String: [Unicode.GeneralCategory]] = [:]
        for (name, category) in single {
            categories[name] = [category]
            categories[String(name.first!), default: []].append(category)
        }
        return categories
    }()

    /// All scalars, read once from the standard library's tables.
    private static let byCategory: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = {
        var ranges: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = [:]
        var start: UInt32 = 0
        var current: Unicode.GeneralCategory?
        for code in UInt32(0)...0x110000 {
            let category = Unicode.Scalar(code)?.properties.generalCategory
            if category == current { continue }
            if let current { ranges[current, default: []].append(start...code - 1) }
            (start, current) = (code, category)
        }
        return ranges
    }()
}
