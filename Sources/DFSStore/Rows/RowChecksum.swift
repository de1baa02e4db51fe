internal import DFSCore

/// The checksum of a row that is no row of the namespace: of `state`, `log`, `garbage`, `wanted`
/// (docs/FORMATS.md, "Tables").
enum RowChecksum {
  /// XXH3-64 of the numbers, 8 bytes each, and then the bytes, as SQLite keeps it.
  static func of(_ numbers: [UInt64], _ bytes: [UInt8]...) -> Int64 {
    BlockChecksum.of(numbers.flatMap(\.bigEndianBytes) + bytes.joined()).value.stored
  }
}
