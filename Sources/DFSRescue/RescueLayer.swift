internal import DFSCore
internal import DFSSystem

/// Puts the bytes of one layer at their places in a file that has what is below.
struct RescueLayer {
  private let layer: Layer
  private let file: File
  /// What came of an index that is in the content.
  private var index: [UInt8] = []
  private var isIndexWhole = true
  /// nil as long as they are not known.
  private var extents: [LayerExtent]?
  private var problem: DFSError?
  /// The extent that the next byte belongs to, and how many bytes of it came.
  private var next = 0
  private var done: UInt64 = 0

  /// Gives the file the size that it has with the layer.
  init(_ layer: Layer, _ file: File) throws {
    self.layer = layer
    self.file = file
    try file.setLength(layer.cut)
    try file.setLength(layer.size)
    if case .row(let extents) = layer.index { try begin(extents) }
  }

  private mutating func begin(_ extents: [LayerExtent]) throws {
    self.extents = extents
    for extent in extents where extent.isZeros { try file.clear(extent.range) }
  }

  /// Takes the bytes of the content in their order.
  /// - Parameter gaps: those that no copy has; zeros come for them.
  mutating func take(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, _ gaps: [Range<UInt64>]
  ) throws {
    let count = Int(min(UInt64(bytes.count), layer.dataStart - min(offset, layer.dataStart)))
    if count > 0 {
      index += bytes[..<count]
      if gaps.contains(where: { $0.lowerBound < offset + UInt64(count) }) { isIndexWhole = false }
      if UInt64(index.count) == layer.dataStart { try decode() }
    }
    try place(UnsafeRawBufferPointer(rebasing: bytes[count...]))
  }

  private mutating func decode() throws {
    defer { index = [] }
    guard isIndexWhole else { return }
    let extents: [LayerExtent]
    do throws(DFSError) {
      extents = try LayerIndex.extents(index, of: layer)
    } catch {
      problem = error
      return
    }
    try begin(extents)
  }

  private mutating func place(_ bytes: UnsafeRawBufferPointer) throws {
    guard let extents else { return }
    var rest = bytes[...]
    while !rest.isEmpty, next < extents.count {
      let range = extents[next].range
      guard !extents[next].isZeros, done < UInt64(range.count) else {
        (next, done) = (next + 1, 0)
        continue
      }
      let piece = rest.prefix(Int(min(UInt64(rest.count), UInt64(range.count) - done)))
      try file.write(UnsafeRawBufferPointer(rebasing: piece), at: range.lowerBound + done)
      done += UInt64(piece.count)
      rest = rest.dropFirst(piece.count)
    }
  }

  /// All bytes came.
  /// - Returns: why none were written; nil if they were.
  func finish() -> DFSError? {
    guard extents == nil else { return nil }
    return problem ?? DFSError(.damaged, "its index is missing")
  }
}
