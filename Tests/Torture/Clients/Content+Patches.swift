import DFSTestSupport

/// Contents that were changed in place: some ranges of one say which operation wrote them, and the head names all
/// that have, so that all bytes tell again where they come from.
extension Content {
  /// One begins with this: the numbers of the content and of what was written over it.
  private static let headBytes = 4 * lineBytes
  private static let leastPatchedBytes = 2 * headBytes
  private static let chainLimit = 13

  /// - Parameter found: what the file has.
  /// - Returns: the numbers of what it has once `number` is written over it; nil if it is too small, or too much
  ///   was written over it.
  static func chain(of number: Int, over found: Finding, size: Int) -> [Int]? {
    let chain: [Int]? =
      switch found {
      case .whole(let below): [below]
      case .patched(let chain): chain
      default: nil
      }
    guard let chain, size >= leastPatchedBytes, chain.count < chainLimit else { return nil }
    return chain + [number]
  }

  /// What the last of `chain` writes: the head last.
  static func patch(_ chain: [Int], size: Int) -> [(place: Int, bytes: [UInt8])] {
    guard let number = chain.last else { return [] }
    return ranges(number, size).map { range in
      let line = Self.line("patch \(number) of \(size) bytes ")
      return (range.lowerBound, bytes(repeating: line, count: range.count))
    } + [(0, head(chain, size))]
  }

  static func patched(_ chain: [Int], size: Int) -> [UInt8] {
    guard let first = chain.first else { return [] }
    var bytes = Self.bytes(first, size: size)
    for end in chain.indices.dropFirst() {
      for piece in patch(Array(chain[...end]), size: size) {
        bytes.replaceSubrange(piece.place..<piece.place + piece.bytes.count, with: piece.bytes)
      }
    }
    return bytes
  }

  /// Nil if there is no such head.
  static func patchedFinding(in bytes: [UInt8]) -> Finding? {
    let words = String(decoding: bytes.prefix(headBytes), as: UTF8.self).split(separator: " ")
    guard words.count >= 5, words[0] == "patched" else { return nil }
    let chain = words[3].split(separator: ",").compactMap { Int($0) }
    guard words[1] == "\(bytes.count)", chain.count > 1,
      bytes == patched(chain, size: bytes.count)
    else { return .wrong("\(bytes.count) bytes that are not: \(words.prefix(4))") }
    return .patched(chain)
  }

  /// Up to three, behind the head.
  private static func ranges(_ number: Int, _ size: Int) -> [Range<Int>] {
    var random = SplitMix64(seed: UInt64(number))
    return (0...random.below(3)).map { _ in
      let start = headBytes + random.below(size - headBytes)
      return start..<min(size, start + 1 + random.below(6000))
    }
  }

  private static func head(_ chain: [Int], _ size: Int) -> [UInt8] {
    let text = "patched \(size) of \(chain.map(String.init).joined(separator: ",")) "
    let bytes = Array(text.utf8)
    return bytes + [UInt8](repeating: UInt8(ascii: "-"), count: headBytes - 1 - bytes.count)
      + [UInt8(ascii: "\n")]
  }
}
