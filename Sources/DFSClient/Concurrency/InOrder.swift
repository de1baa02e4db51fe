/// Runs `work` on every element, at most `width` at once, and gives each result to `take` in the
/// order of the elements. Elements are taken from the sequence only when there is room for them.
public func inOrder<Element: Sendable, Value: Sendable>(
  _ elements: some Sequence<Element>, width: Int,
  _ work: @escaping @Sendable (Element) async throws -> Value,
  take: (Value) async throws -> Void
) async throws {
  try await withThrowingTaskGroup(of: (Int, Value).self) { group in
    var (begun, taken) = (0, 0)
    var waiting: [Int: Value] = [:]
    var iterator = elements.makeIterator()
    func begin() {
      guard let element = iterator.next() else { return }
      let index = begun
      begun += 1
      group.addTask { (index, try await work(element)) }
    }
    for _ in 0..<width { begin() }
    while let (index, value) = try await group.next() {
      waiting[index] = value
      while let value = waiting.removeValue(forKey: taken) {
        taken += 1
        try await take(value)
        begin()
      }
    }
  }
}
