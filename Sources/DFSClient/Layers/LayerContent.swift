internal import DFSCore

/// The index of a layer, then its bytes: what is stored of a layer whose index does not fit its row.
struct IndexedContent: ContentSource {
  let index: [UInt8]
  let content: any ContentSource

  var size: UInt64 { UInt64(index.count) + content.size }
  var md5: MD5Digest? { nil }
  var isInMemory: Bool { content.isInMemory }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    let start = UInt64(index.count)
    guard range.upperBound > start else { return self }
    let rest = max(range.lowerBound, start) - start..<range.upperBound - start
    return IndexedContent(index: index, content: try await content.ready(for: rest))
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let start = Int(min(offset, UInt64(index.count)))
    let count = min(index.count - start, buffer.count)
    buffer.copyBytes(from: index[start..<start + count])
    guard count < buffer.count else { return }
    try content.read(
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]),
      at: offset + UInt64(count) - UInt64(index.count))
  }
}

/// A content from some place on.
private struct ContentEnd: ContentSource {
  let content: any ContentSource
  let start: UInt64

  var size: UInt64 { content.size - start }
  var md5: MD5Digest? { nil }
  var isInMemory: Bool { content.isInMemory }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    let whole = range.lowerBound + start..<range.upperBound + start
    return ContentEnd(content: try await content.ready(for: whole), start: start)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try content.read(into: buffer, at: offset + start)
  }
}

/// Bytes of a version as a content that is published anew: it is read piece by piece.
struct VersionContent: ContentSource {
  let version: Version
  let reader: LayerReader
  /// Slows reading down; nil for no limit.
  let pace: Pace?
  private let extents: PackedExtents

  /// The bytes of these extents of a version, one after the other; zeros are left out.
  init(_ version: Version, _ extents: [LayerExtent], _ reader: LayerReader, _ pace: Pace? = nil) {
    (self.version, self.reader, self.pace) = (version, reader, pace)
    self.extents = PackedExtents(extents)
  }

  /// All of a version.
  init(_ version: Version, _ reader: LayerReader, _ pace: Pace? = nil) {
    let all = version.size == 0 ? [] : [LayerExtent(0..<version.size)]
    self.init(version, all, reader, pace)
  }

  var size: UInt64 { extents.size }
  var md5: MD5Digest? { nil }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count)
    for part in extents.parts(of: range) { bytes += try await reader.readWhole(version, part.file) }
    await pace?.passed(bytes.count)
    return FetchedRange(whole: size, start: range.lowerBound, bytes: bytes)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard buffer.isEmpty else { throw DFSError(.invalidArgument, "it was not made ready") }
  }
}

/// A range of a content that was read.
struct FetchedRange: ContentSource {
  let size: UInt64
  let start: UInt64
  let bytes: [UInt8]

  init(whole size: UInt64, start: UInt64, bytes: [UInt8]) {
    (self.size, self.start, self.bytes) = (size, start, bytes)
  }

  var md5: MD5Digest? { nil }
  var isInMemory: Bool { true }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard offset >= start, offset - start + UInt64(buffer.count) <= UInt64(bytes.count) else {
      throw DFSError(
        .invalidArgument, "\(buffer.count) bytes at \(offset) were not made ready")
    }
    let first = Int(offset - start)
    buffer.copyBytes(from: bytes[first..<first + buffer.count])
  }
}

extension PublishForm {
  /// What is stored of a published content, and where the layer's index is, if it is one.
  /// - Throws: `fileTooLarge` if so many ranges were changed that their index is too long.
  func stored(_ content: any ContentSource) throws(DFSError) -> (any ContentSource, Layer.Index?) {
    guard case .layer(let patch) = self else { return (content, nil) }
    let index = LayerIndex.encoded(patch.extents)
    guard index.count > LayerIndex.rowBytes else { return (content, .row(patch.extents)) }
    guard index.count <= LayerIndex.bytesLimit else {
      throw DFSError(
        .fileTooLarge,
        "\(patch.extents.count) ranges of a file, whose index has \(index.count) bytes; the limit is "
          + "\(LayerIndex.bytesLimit): settle the file")
    }
    return (
      IndexedContent(index: index, content: content), .content(bytes: UInt32(index.count))
    )
  }

  /// The same where the file has another version by now than the one that it was written to.
  /// - Returns: what is stored then, and as what; nil if it is what was tried.
  func elsewhere(_ content: any ContentSource) -> (any ContentSource, PublishForm)? {
    switch self {
    case .whole(let start?):
      // What others wrote stays before it.
      let extents = start < content.size ? [LayerExtent(start..<content.size)] : []
      let patch = Patch(over: nil, extents, cut: start, size: content.size, isAppended: true)
      return (ContentEnd(content: content, start: start), .layer(patch))
    case .whole(nil), .layer: return nil
    }
  }

  /// What a change names.
  /// - Parameter id: a new identity, for a version with layers.
  func named(_ content: Content, _ index: Layer.Index?, as id: VersionID) -> NewVersion {
    switch (self, index) {
    case (.layer(let patch), let index?):
      .layer(NewLayer(id: id, content: content, patch: patch, index: index))
    case (.whole(let start), _): .whole(content, isAppended: start != nil)
    case (.layer, nil): preconditionFailure("what is stored of a layer has an index")
    }
  }
}

extension Inode {
  /// The inode whose row asks for a content that this has.
  func keeper(of content: Content) -> InodeID {
    version?.layers.last { $0.content.id == content.id }?.inode ?? id
  }
}

extension Version {
  /// Notes where the copies of one of its contents are.
  mutating func place(_ content: Content, _ placement: Placement) {
    if base?.id == content.id { base?.placement = placement }
    for index in layers.indices where layers[index].content.id == content.id {
      layers[index].content.placement = placement
    }
  }
}

extension RowKey {
  /// A row that no program sees: of the list of what is not settled.
  var isOfLayers: Bool {
    if case .entry(.unsettled, _) = self { true } else { false }
  }
}
