import DFSCore
import Foundation

/// Random contents, on the local disk and in memory.
enum Content {
  static func random(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
      withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
  }

  /// Random bytes whose MD5 modulo 4 is `x`, so that the file is placed by that row of the table.
  static func random(_ count: Int, placedBy x: Int) -> [UInt8] {
    precondition(count > 0, "there is one empty content")
    var bytes = random(count)
    while MD5Digest.of(bytes).modulo4 != x { bytes[count - 1] &+= UInt8.random(in: 1...255) }
    return bytes
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }
}
