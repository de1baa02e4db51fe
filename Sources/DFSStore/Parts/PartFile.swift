package import DFSCore
package import DFSSystem

/// The bytes of a copy on disk: data, the checksums of its blocks, a footer (docs/FORMATS.md,
/// "Part files"). Arithmetic and encoding only; `File` does the reading and writing.
///
/// Invariant: the footer comes last, so a file that was cut off is never taken for a whole one.
package struct PartLayout: Hashable {
  static let footerBytes = 64
  static let checksumBytes = 8
  static let magic: [UInt8] = Array("DFSPART\n".utf8)
  static let format: UInt32 = 1
  /// Footer bytes that the footer's own checksum covers.
  private static let coveredBytes = 56

  let id: PartID
  /// Bytes of data.
  package let length: UInt64

  package init(id: PartID, length: UInt64) {
    self.id = id
    self.length = length
  }

  var blockCount: UInt64 { (length + UInt64(Limits.blockBytes) - 1) / UInt64(Limits.blockBytes) }
  package var checksumsOffset: UInt64 { length }
  package var footerOffset: UInt64 { length + blockCount * UInt64(Self.checksumBytes) }
  var fileBytes: UInt64 { footerOffset + UInt64(Self.footerBytes) }

  /// Checksums and footer, as they follow the data.
  func tail(_ checksums: [BlockChecksum]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(checksums.count * Self.checksumBytes + Self.footerBytes)
    for checksum in checksums { bytes += checksum.value.bigEndianBytes }
    let covered = bytes + footerFields
    return bytes + footerFields + BlockChecksum.of(covered).value.bigEndianBytes
  }

  private var footerFields: [UInt8] {
    Self.magic + Self.format.bigEndianBytes + UInt32(Limits.blockBytes).bigEndianBytes
      + id.version.bytes + [UInt8(id.part.number)] + [UInt8](repeating: 0, count: 7)
      + length.bigEndianBytes + blockCount.bigEndianBytes
  }

  /// Reads the footer of a copy of `id` and checks it against the file's size.
  package static func read(_ file: File, of id: PartID) throws(DFSError) -> PartLayout {
    let size = try file.length()
    guard size >= UInt64(footerBytes) else { throw damage(file, "it has \(size) bytes, no footer") }
    let offset = size - UInt64(footerBytes)
    let footer = try file.read(count: footerBytes, at: offset)
    let layout = PartLayout(id: id, length: UInt64(bigEndian: footer[40..<48]))
    guard layout.length <= Limits.fileBytes, layout.fileBytes == size,
      layout.footerFields == Array(footer[..<coveredBytes])
    else { throw damage(file, "its footer at byte \(offset) is not that of \(id)") }
    return layout
  }

  /// The checksums of `blocks`, as the file has them.
  package func checksums(_ file: File, blocks: Range<UInt64>) throws(DFSError) -> [BlockChecksum] {
    let (count, offset) = place(ofChecksums: blocks)
    return Self.checksums(in: try file.read(count: count, at: offset))
  }

  /// The same, if the kernel has them in memory.
  func checksumsNow(_ file: File, blocks: Range<UInt64>) -> [BlockChecksum]? {
    let (count, offset) = place(ofChecksums: blocks)
    return file.readNow(count: count, at: offset).map(Self.checksums)
  }

  private func place(ofChecksums blocks: Range<UInt64>) -> (count: Int, offset: UInt64) {
    let size = Self.checksumBytes
    return (blocks.count * size, checksumsOffset + blocks.lowerBound * UInt64(size))
  }

  private static func checksums(in bytes: [UInt8]) -> [BlockChecksum] {
    stride(from: 0, to: bytes.count, by: checksumBytes).map {
      BlockChecksum(UInt64(bigEndian: bytes[$0..<$0 + checksumBytes]))
    }
  }

  /// All checksums, proven by the footer's checksum.
  func verifiedChecksums(_ file: File) throws(DFSError) -> [BlockChecksum] {
    let checksums = try checksums(file, blocks: 0..<blockCount)
    let stored = try file.read(count: Self.footerBytes, at: footerOffset)
    guard tail(checksums).suffix(8) == stored.suffix(8) else {
      throw Self.damage(file, "its block checksums do not match its footer")
    }
    return checksums
  }

  /// The blocks that cover `range` of the part, which is clamped to its length.
  package func blocks(covering range: Range<UInt64>) -> Range<UInt64> {
    let missing = range.clamped(to: 0..<length)
    guard !missing.isEmpty else { return 0..<0 }
    let size = UInt64(Limits.blockBytes)
    return missing.lowerBound / size..<(missing.upperBound + size - 1) / size
  }

  /// The bytes of the part that `blocks` are.
  package func bytes(of blocks: Range<UInt64>) -> Range<UInt64> {
    let size = UInt64(Limits.blockBytes)
    return blocks.lowerBound * size..<min(blocks.upperBound * size, length)
  }

  static func damage(_ file: File, _ fact: String) -> DFSError {
    DFSError(.damaged, "the copy \(file.path) is damaged: \(fact)")
  }
}
