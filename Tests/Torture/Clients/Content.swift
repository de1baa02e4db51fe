import DFSCore
import Glibc

/// Contents that say what they are: each block of 4 KiB repeats one line with the content's number,
/// its size and the block's number, so that whatever is read tells from which put it comes, and a
/// mixture of two is seen.
enum Content {
  static let blockBytes = 4096
  static let lineBytes = 64
  /// A content is at least one line long.
  static let leastBytes = lineBytes

  enum Finding: Hashable, Sendable {
    case empty
    /// Every byte is right.
    case whole(number: Int)
    /// A whole content and then whole records: their numbers.
    case appended([Int])
    /// A whole content, some of which was written anew: the numbers of all who did.
    case patched([Int])
    case wrong(String)
  }

  static func bytes(_ number: Int, size: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    bytes.withUnsafeMutableBytes { buffer in
      for start in stride(from: 0, to: size, by: blockBytes) {
        fill(
          UnsafeMutableRawBufferPointer(rebasing: buffer[start..<min(start + blockBytes, size)]),
          with: line(number, size, block: start / blockBytes))
      }
    }
    return bytes
  }

  // MARK: Records

  /// What an append adds: one line again and again.
  static func record(_ number: Int, size: Int) -> [UInt8] {
    bytes(repeating: line("append \(number) of \(size) bytes "), count: size)
  }

  static func bytes(repeating line: [UInt8], count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { fill($0, with: line) }
    return bytes
  }

  /// - Returns: their numbers; nil if these bytes are no row of whole records.
  private static func records(in bytes: ArraySlice<UInt8>) -> [Int]? {
    var (numbers, rest) = ([Int](), bytes)
    while !rest.isEmpty {
      guard let (number, size) = header(of: rest, "append"), rest.count >= size,
        rest.starts(with: record(number, size: size))
      else { return nil }
      numbers.append(number)
      rest = rest.dropFirst(size)
    }
    return numbers
  }

  static func md5(of bytes: [UInt8]) -> String { MD5Digest.of(bytes).description }

  /// Which content these bytes are.
  static func finding(in bytes: [UInt8]) -> Finding {
    guard !bytes.isEmpty else { return .empty }
    if let found = patchedFinding(in: bytes) { return found }
    guard let (number, size) = header(of: bytes[...]) else {
      return .wrong("\(bytes.count) bytes that begin with no line of a content")
    }
    let expected = Self.bytes(number, size: size)
    if bytes == expected { return .whole(number: number) }
    if bytes.count > size, bytes.starts(with: expected),
      let records = records(in: bytes[size...])
    {
      return .appended([number] + records)
    }
    return .wrong("\(bytes.count) bytes of content \(number), which has \(size)" + parts(of: bytes))
  }

  // MARK: Lines

  private static func line(_ number: Int, _ size: Int, block: Int) -> [UInt8] {
    line("content \(number) of \(size) bytes, block \(block) ")
  }

  static func line(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    return bytes + [UInt8](repeating: UInt8(ascii: "-"), count: lineBytes - 1 - bytes.count)
      + [UInt8(ascii: "\n")]
  }

  /// Doubles what is there until the block is full.
  private static func fill(_ block: UnsafeMutableRawBufferPointer, with line: [UInt8]) {
    guard let base = block.baseAddress else { return }
    line.withUnsafeBytes { source in
      if let from = source.baseAddress { memcpy(base, from, min(line.count, block.count)) }
    }
    var filled = min(line.count, block.count)
    while filled < block.count {
      let more = min(filled, block.count - filled)
      memcpy(base + filled, base, more)
      filled += more
    }
  }

  /// The number and size that a block's first line tells.
  private static func header(
    of block: ArraySlice<UInt8>, _ kind: String = "content"
  ) -> (number: Int, size: Int)? {
    let words = String(decoding: block.prefix(lineBytes), as: UTF8.self).split(separator: " ")
    guard words.count >= 4, words[0] == kind, let number = Int(words[1]),
      let size = Int(words[3]), size >= leastBytes, size < 1 << 26
    else { return nil }
    return (number, size)
  }

  /// Which blocks come from which content.
  private static func parts(of bytes: [UInt8]) -> String {
    var runs: [(text: String, first: Int)] = []
    for start in stride(from: 0, to: bytes.count, by: blockBytes) {
      let end = min(start + blockBytes, bytes.count)
      let text = header(of: bytes[start..<end]).map { "content \($0.number)" } ?? "no content"
      if runs.last?.text != text { runs.append((text, start / blockBytes)) }
    }
    return runs.prefix(8).map { "; from block \($0.first) \($0.text)" }.joined()
  }
}
