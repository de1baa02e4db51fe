import DFSClient
import DFSCore
import Synchronization

/// A content of any size that takes no memory: a table of random bytes, again and again. Its length
/// is a prime, so that bytes from a wrong place are seen.
struct TestContent: ContentSource {
  private static let table: [UInt8] = {
    var word: UInt64 = 0x9e37_79b9_7f4a_7c15
    return (0..<1_000_003).map { _ in
      word ^= word << 13
      word ^= word >> 7
      word ^= word << 17
      return UInt8(truncatingIfNeeded: word)
    }
  }()

  /// Bytes that were read so far.
  final class Reads: Sendable {
    let bytes = Atomic<UInt64>(0)
  }

  let size: UInt64
  var seed: UInt64 = 1
  let reads = Reads()
  var md5: MD5Digest? { nil }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    var done = 0
    while done < buffer.count {
      let start = Int((offset + UInt64(done) + seed) % UInt64(Self.table.count))
      let count = min(buffer.count - done, Self.table.count - start)
      Self.table.withUnsafeBytes { table in
        UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: table[start..<start + count]))
      }
      done += count
    }
    reads.bytes.add(UInt64(buffer.count), ordering: .relaxed)
  }

  func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    try bytes.withUnsafeMutableBytes { try read(into: $0, at: range.lowerBound) }
    return bytes
  }
}
