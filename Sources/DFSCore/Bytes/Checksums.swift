internal import CXXHash
internal import Crypto

/// MD5 places and names contents (RFC 1321); XXH3 finds damage
/// (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).

/// The MD5 of a whole content: 16 bytes, in the order in which RFC 1321 writes them.
public struct MD5Digest: Bits128, CustomStringConvertible {
  /// The first 8 of the 16 bytes, big-endian.
  public let high: UInt64
  /// The last 8 of the 16 bytes, big-endian.
  public let low: UInt64

  /// A digest that was computed before, by its two halves.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The digest, read as a 128-bit big-endian integer, modulo 4.
  public var modulo4: Int { Int(low & 3) }
  public var description: String { bytes.hexadecimal }

  /// The MD5 of a content that is in memory as a whole.
  public static func of(_ content: some Collection<UInt8>) -> MD5Digest {
    var hasher = MD5Hasher()
    Array(content).withUnsafeBytes { hasher.update($0) }
    return hasher.finish()
  }
}

/// MD5 of a content that comes in pieces.
public struct MD5Hasher: Sendable {
  private var hasher = Insecure.MD5()
  /// Bytes taken so far.
  public private(set) var count: UInt64 = 0

  /// A hasher that has taken no bytes yet.
  public init() {}

  /// Takes the next bytes of the content.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    hasher.update(bufferPointer: bytes)
    count += UInt64(bytes.count)
  }

  /// The digest of what was taken so far; more may follow.
  public func finish() -> MD5Digest {
    hasher.finalize().withUnsafeBytes { bytes in
      precondition(bytes.count == 16, "an MD5 digest has 16 bytes")
      return MD5Digest(
        high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}

/// The 64-bit XXH3 of one block of a part, or of a list of such checksums.
public struct BlockChecksum: Hashable, Sendable {
  /// The XXH3 as a number, with seed 0.
  public let value: UInt64
  /// A checksum that was computed before.
  public init(_ value: UInt64) { self.value = value }

  /// The XXH3 of the bytes, however many they are.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> BlockChecksum {
    BlockChecksum(XXH3_64bits(bytes.baseAddress, bytes.count))
  }

  /// The XXH3 of the bytes, however many they are.
  public static func of(_ bytes: [UInt8]) -> BlockChecksum { bytes.withUnsafeBytes { of($0) } }

  /// The checksums of consecutive blocks of `Limits.blockBytes`; the last block may be shorter.
  /// No bytes, no blocks.
  public static func blocks(of bytes: UnsafeRawBufferPointer) -> [BlockChecksum] {
    if bytes.isEmpty { return [] }
    if bytes.count <= Limits.blockBytes { return [of(bytes)] }
    var checksums: [BlockChecksum] = []
    checksums.reserveCapacity((bytes.count + Limits.blockBytes - 1) / Limits.blockBytes)
    var start = 0
    while start < bytes.count {
      let end = min(start + Limits.blockBytes, bytes.count)
      checksums.append(of(UnsafeRawBufferPointer(rebasing: bytes[start..<end])))
      start = end
    }
    return checksums
  }

  /// The digest of a part: XXH3 of its block checksums, each as 8 big-endian bytes.
  public static func digest(of blocks: [BlockChecksum]) -> BlockChecksum {
    withBytes(of: blocks) { of($0) }
  }

  /// The checksums as 8 big-endian bytes each, which live as long as `body` runs.
  static func withBytes<Value>(
    of blocks: [BlockChecksum], _ body: (UnsafeRawBufferPointer) -> Value
  ) -> Value {
    withUnsafeTemporaryAllocation(byteCount: blocks.count * 8, alignment: 8) { memory in
      var writer = ByteWriter(memory)
      for block in blocks { writer.put(block.value) }
      return body(writer.written)
    }
  }
}

/// `BlockChecksum.digest` of a list that comes in pieces, so that no list need be in memory.
public struct BlockChecksumsHasher: ~Copyable {
  private let state: OpaquePointer

  /// A hasher that has taken no checksums yet.
  public init() {
    guard let state = XXH3_createState(), XXH3_64bits_reset(state) == XXH_OK else {
      preconditionFailure("no memory for the state of a checksum")
    }
    self.state = state
  }

  deinit { XXH3_freeState(state) }

  /// Takes checksums as 8 big-endian bytes each.
  public mutating func update(_ bytes: [UInt8]) { XXH3_64bits_update(state, bytes, bytes.count) }

  /// Takes the next checksums of the list.
  public mutating func update(_ blocks: [BlockChecksum]) {
    BlockChecksum.withBytes(of: blocks) {
      _ = XXH3_64bits_update(state, $0.baseAddress, $0.count)
    }
  }

  /// The digest of what was taken; it ends the hasher.
  public consuming func finish() -> BlockChecksum { BlockChecksum(XXH3_64bits_digest(state)) }
}

/// The digest of a set of rows: the sum, in two 64-bit lanes that wrap, of the XXH3-128 of each
/// row. Adding and removing rows in any order gives the same sum for the same set.
public struct RowDigest: Bits128, CustomStringConvertible {
  /// The lane of the upper 64 bits of each hash.
  public var high: UInt64
  /// The lane of the lower 64 bits of each hash.
  public var low: UInt64

  /// A sum that was stored; without arguments that of no rows.
  public init(high: UInt64 = 0, low: UInt64 = 0) {
    self.high = high
    self.low = low
  }

  /// The digest of no rows.
  public static let empty = RowDigest()

  /// The digest of one row.
  public init(of row: Row) {
    let hash = row.withDigestBytes { XXH3_128bits($0.baseAddress, $0.count) }
    self.init(high: hash.high64, low: hash.low64)
  }

  /// Adds the digest of rows that come into the set.
  public static func += (left: inout RowDigest, right: RowDigest) {
    left.high &+= right.high
    left.low &+= right.low
  }

  /// Takes away the digest of rows that go from the set.
  public static func -= (left: inout RowDigest, right: RowDigest) {
    left.high &-= right.high
    left.low &-= right.low
  }

  public var description: String { bytes.hexadecimal }
}
