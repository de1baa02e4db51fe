internal import DFSCore

/// Comparing bytes with the checksums of their blocks.
enum Checksums {
  /// The index of the first block whose checksum is not the one given; nil if all are right.
  static func firstMismatch(_ bytes: [UInt8], _ checksums: [BlockChecksum]) -> Int? {
    bytes.withUnsafeBytes { firstMismatch($0, checksums) }
  }

  static func firstMismatch(
    _ bytes: UnsafeRawBufferPointer, _ checksums: [BlockChecksum]
  ) -> Int? {
    let actual = BlockChecksum.blocks(of: bytes)
    if let index = zip(actual, checksums).enumerated().first(where: { $1.0 != $1.1 })?.offset {
      return index
    }
    return actual.count == checksums.count ? nil : min(actual.count, checksums.count)
  }
}
