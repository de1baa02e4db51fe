internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// A copy of a part, not verified yet.
enum OfflineCopy: Sendable {
  case file(File)
  case row(InlinePart, database: String)

  var name: String {
    switch self {
    case .file(let file): "\(file.path)"
    case .row(let part, let database): "\(part.id) in \(database)"
    }
  }

  /// Fills `bytes`.
  /// - Returns: whether the copy has them; a sector that cannot be read is none.
  func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool {
    switch self {
    case .file(let file):
      do throws(DFSError) {
        try file.read(bytes, at: offset)
        return true
      } catch { return false }
    case .row(let part, _):
      guard offset + UInt64(bytes.count) <= UInt64(part.bytes.count) else { return false }
      bytes.copyBytes(from: part.bytes[Int(offset)..<Int(offset) + bytes.count])
      return true
    }
  }
}

/// One part of a version, from whatever good bytes any copies of it have.
///
/// The digest in the inode's row says which block checksums are the part's. If one copy has the list
/// that the digest is of, each block may come from any copy: two copies that are damaged at
/// different places are a whole one. If no copy has it, a copy is good as a whole if the checksums
/// that its bytes have make that digest.
///
/// Invariant: bytes that were not proven are never given out. Memory does not grow with the part.
struct OfflinePart {
  private enum Proof {
    case list(OfflineCopy)
    case whole(OfflineCopy)
    case none
  }

  static let pieceBytes = Limits.chunkBytes
  private static let blockBytes = Limits.blockBytes

  let id: PartID
  let length: UInt64
  private let copies: [OfflineCopy]
  private let proof: Proof
  private let layout: PartLayout
  /// Names of copies that proved damaged: told once, and asked last.
  private var damaged: Set<String> = []

  /// - Parameter note: told of each copy that is damaged.
  init(
    _ id: PartID, length: UInt64, digest: BlockChecksum, from users: [OfflineUser],
    note: (String) -> Void
  ) {
    self.id = id
    self.length = length
    layout = PartLayout(id: id, length: length)
    // A part without bytes needs no copy.
    let copies = length == 0 ? [] : users.flatMap { $0.copies(of: id, note: note) }
    self.copies = copies
    proof = Self.prove(copies, layout, digest, note: note)
  }

  /// Nothing of it can be had.
  var isAbsent: Bool {
    if length > 0, case .none = proof { true } else { false }
  }

  // MARK: Proof

  private static func prove(
    _ copies: [OfflineCopy], _ layout: PartLayout, _ digest: BlockChecksum, note: (String) -> Void
  ) -> Proof {
    if let copy = copies.first(where: { listDigest($0, layout) == digest }) { return .list(copy) }
    for copy in copies {
      if contentDigest(copy, layout) == digest { return .whole(copy) }
      note("the copy \(copy.name) is damaged: neither its bytes nor its checksums can be proven")
    }
    return .none
  }

  /// The digest of the checksums that a part file has after its data.
  private static func listDigest(_ copy: OfflineCopy, _ layout: PartLayout) -> BlockChecksum? {
    guard case .file(let file) = copy, (try? file.length()) ?? 0 >= layout.footerOffset else {
      return nil
    }
    var hasher = BlockChecksumsHasher()
    for offset in stride(
      from: layout.checksumsOffset, to: layout.footerOffset, by: UInt64.Stride(pieceBytes))
    {
      let count = Int(min(UInt64(pieceBytes), layout.footerOffset - offset))
      guard let bytes = try? file.read(count: count, at: offset) else { return nil }
      hasher.update(bytes)
    }
    return hasher.finish()
  }

  /// The digest of the checksums that the bytes of a copy have.
  private static func contentDigest(_ copy: OfflineCopy, _ layout: PartLayout) -> BlockChecksum? {
    var hasher = BlockChecksumsHasher()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 16)
    defer { buffer.deallocate() }
    for offset in stride(from: 0, to: layout.length, by: UInt64.Stride(pieceBytes)) {
      let count = Int(min(UInt64(pieceBytes), layout.length - offset))
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      guard copy.read(piece, at: offset) else { return nil }
      hasher.update(BlockChecksum.blocks(of: UnsafeRawBufferPointer(piece)))
    }
    return hasher.finish()
  }

  // MARK: Reading

  /// Fills `piece` with the bytes from `offset`, a multiple of `pieceBytes`, on.
  /// - Returns: the ranges of the part in it that no copy has; they are zeros.
  mutating func read(
    _ piece: UnsafeMutableRawBufferPointer, at offset: UInt64, note: (String) -> Void
  ) -> [Range<UInt64>] {
    let blocks = layout.blocks(covering: offset..<offset + UInt64(piece.count))
    switch proof {
    case .none: break
    case .whole(let copy):
      if copy.read(piece, at: offset) { return [] }
    case .list(let copy):
      guard case .file(let file) = copy, let checksums = try? layout.checksums(file, blocks: blocks)
      else { break }
      return read(piece, blocks, checksums, note: note)
    }
    piece.initializeMemory(as: UInt8.self, repeating: 0)
    return [layout.bytes(of: blocks)]
  }

  private mutating func read(
    _ piece: UnsafeMutableRawBufferPointer, _ blocks: Range<UInt64>, _ checksums: [BlockChecksum],
    note: (String) -> Void
  ) -> [Range<UInt64>] {
    var wanted = Array(blocks)
    for copy in copies.sorted(by: { !damaged.contains($0.name) && damaged.contains($1.name) }) {
      let bad = wanted.filter { block in
        let bytes = Self.slice(piece, block, blocks)
        let isRead = copy.read(bytes, at: block * UInt64(Self.blockBytes))
        return !isRead
          || BlockChecksum.of(UnsafeRawBufferPointer(bytes))
            != checksums[Int(block - blocks.lowerBound)]
      }
      if let first = bad.first, damaged.insert(copy.name).inserted {
        note(
          "the copy \(copy.name) is damaged in the block at byte \(first * UInt64(Self.blockBytes)); "
            + "its other replica is used where it is good")
      }
      wanted = bad
      if wanted.isEmpty { return [] }
    }
    for block in wanted {
      Self.slice(piece, block, blocks).initializeMemory(as: UInt8.self, repeating: 0)
    }
    return wanted.map { layout.bytes(of: $0..<$0 + 1) }
  }

  private static func slice(
    _ piece: UnsafeMutableRawBufferPointer, _ block: UInt64, _ blocks: Range<UInt64>
  ) -> UnsafeMutableRawBufferPointer {
    let start = Int(block - blocks.lowerBound) * blockBytes
    return UnsafeMutableRawBufferPointer(
      rebasing: piece[start..<min(start + blockBytes, piece.count)])
  }
}
