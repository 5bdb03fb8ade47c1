// Random numbers for property tests: a printed seed repeats a failure.

struct TestRandom: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64 = .random(in: 0 ... .max)) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return ToyRunner.mix(state)
    }

    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }
    mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }
    mutating func float(_ range: ClosedRange<Float>) -> Float { .random(in: range, using: &self) }
    mutating func pick<T>(_ values: [T]) -> T { values[int(0...(values.count - 1))] }
}
