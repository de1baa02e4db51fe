internal import DFSCore

/// What a publish of this token writes: each quarter says so, and no two contents are the same.
enum ClientContent {
  /// A size whose parts travel with the change, and one whose parts have two blocks.
  static let smallBytes = 64
  static let largeBytes = 4 * (Limits.blockBytes + 16)

  static func bytes(_ token: UInt64, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: token), count: count)
    for part in 0..<4 {
      let start = count / 4 * part
      for (index, byte) in (token << 8 | UInt64(part)).bigEndianBytes.enumerated() {
        bytes[start + index] = byte
      }
    }
    return bytes
  }

  /// The token of the publish that wrote these bytes; nil if none did.
  static func token(of bytes: [UInt8]) -> UInt64? {
    guard bytes.count >= smallBytes else { return nil }
    let token = UInt64(bigEndian: Array(bytes.prefix(8))) >> 8
    return self.bytes(token, count: bytes.count) == bytes ? token : nil
  }
}
