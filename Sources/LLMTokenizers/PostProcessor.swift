// What stands around the tokens of a text.

struct PostProcessor: Sendable, Hashable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []
}
