internal import DFSCore

/// The checksum of a row that is no row of the namespace: of `state`, `log`, `garbage`, `wanted`
/// (docs/FORMATS.md, "Tables").
enum RowChecksum {
  /// XXH3-64 of the numbers, 8 bytes each, and then the bytes, as SQLite keeps it.
  static func of(_ numbers: [UInt64], _ bytes: [UInt8]...) -> Int64 {
    let capacity = numbers.count * 8 + bytes.reduce(0) { $0 + $1.count }
    return withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { memory in
      var writer = ByteWriter(memory)
      for number in numbers { writer.put(number) }
      for bytes in bytes { writer.put(bytes) }
      return BlockChecksum.of(writer.written).value.stored
    }
  }
}
