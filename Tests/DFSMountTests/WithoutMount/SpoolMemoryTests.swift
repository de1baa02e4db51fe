import DFSTestSupport
import Testing

@testable import DFSMount

/// The range of a spool that is in memory, compared with all of the content.
@Suite struct SpoolMemoryTests {
  @Test(arguments: 1...40) func readsAsWhatWasWritten(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var memory = SpoolMemory()
    var model = [UInt8](repeating: 0, count: 400)
    for _ in 0..<60 {
      let start = Int.random(in: 0..<390, using: &random)
      let range = start..<start + 1 + Int.random(in: 0..<400 - start, using: &random)
      let bytes = UInt64(range.lowerBound)..<UInt64(range.upperBound)
      switch Int.random(in: 0..<8, using: &random) {
      case ..<3:
        let short = range.prefix(20)
        let new = short.map { _ in UInt8.random(in: 1...255, using: &random) }
        memory.cover(UInt64(short.lowerBound)..<UInt64(short.upperBound))
        new.withUnsafeBytes { memory.write($0, at: UInt64(short.lowerBound)) }
        model.replaceSubrange(short, with: new)
      case ..<5:
        memory.zero(bytes)
        for index in range { model[index] = 0 }
      case 5:
        memory.cut(at: bytes.lowerBound)
        for index in range.lowerBound..<model.count { model[index] = 0 }
      case 6: memory.cover(bytes)
      default: break
      }
      var found = [UInt8](repeating: 7, count: range.count)
      found.withUnsafeMutableBytes { memory.read(into: $0, at: bytes.lowerBound) }
      #expect(found == Array(model[range]))
      // Data is where there is memory, and nothing but zeros is elsewhere.
      let data = memory.seek(bytes.lowerBound, .data)
      #expect(data.map { memory.range.contains($0) } ?? true)
      let zeros = range.lowerBound..<min(400, Int(data ?? 400))
      #expect(zeros.isEmpty || model[zeros].allSatisfy { $0 == 0 })
      let hole = try #require(memory.seek(bytes.lowerBound, .hole))
      #expect(!memory.range.contains(hole) && hole >= bytes.lowerBound)
    }
    memory.cut(at: 0)
    #expect(memory.count == 0 && memory.seek(0, .data) == nil && memory.seek(3, .hole) == 3)
  }
}
