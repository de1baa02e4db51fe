internal import DFSCore

/// Extents of a content, one after the other; zeros are left out.
struct PackedContent: ContentSource {
  private let whole: any ContentSource
  private let extents: PackedExtents

  /// - Parameter extents: ascending and apart from each other.
  init(of whole: any ContentSource, _ extents: [LayerExtent]) {
    self.whole = whole
    self.extents = PackedExtents(extents)
  }

  var size: UInt64 { extents.size }
  var md5: MD5Digest? { nil }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    var bytes = [UInt8](repeating: 0, count: range.count)
    for part in extents.parts(of: range) {
      let ready = try await whole.ready(for: part.file)
      let place = Int(part.packed.lowerBound - range.lowerBound)
      try bytes.withUnsafeMutableBytes {
        let buffer = UnsafeMutableRawBufferPointer(rebasing: $0[place..<place + part.file.count])
        try ready.read(into: buffer, at: part.file.lowerBound)
      }
    }
    return FetchedRange(whole: size, start: range.lowerBound, bytes: bytes)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard buffer.isEmpty else { throw DFSError(.invalidArgument, "it was not made ready") }
  }
}

extension VersionMap {
  /// With what was written over it.
  func laid(_ patch: Patch) -> VersionMap {
    var map = self
    map.lay(patch.extents, from: 0, source: .max, cut: patch.cut, size: patch.size)
    return map
  }
}

/// What was written over a version, with the version below: the whole file.
struct PatchedVersion: ContentSource {
  let patch: Patch
  /// The bytes of the extents.
  let written: any ContentSource
  let reader: LayerReader
  let cluster: any ServerConnections

  var size: UInt64 { patch.size }
  var md5: MD5Digest? { nil }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    let range = range.clamped(to: 0..<size)
    var bytes = [UInt8](repeating: 0, count: range.count)
    if let below = patch.below {
      let there = range.clamped(to: 0..<min(patch.cut, below.size))
      let read = try await reader.readWhole(below, there)
      bytes.replaceSubrange(0..<read.count, with: read)
    }
    var position: UInt64 = 0
    for extent in patch.extents {
      let part = extent.range.clamped(to: range)
      if !part.isEmpty {
        let start = position + part.lowerBound - extent.range.lowerBound
        let new =
          extent.isZeros
          ? [UInt8](repeating: 0, count: part.count)
          : try await self.bytes(of: start..<start + UInt64(part.count))
        let place = Int(part.lowerBound - range.lowerBound)
        bytes.replaceSubrange(place..<place + part.count, with: new)
      }
      if !extent.isZeros { position += UInt64(extent.range.count) }
    }
    return FetchedRange(whole: size, start: range.lowerBound, bytes: bytes)
  }

  /// What was written may be on a disk.
  private func bytes(of range: Range<UInt64>) async throws -> [UInt8] {
    let ready = try await written.ready(for: range)
    return try await cluster.blocking {
      var bytes = [UInt8](repeating: 0, count: range.count)
      try bytes.withUnsafeMutableBytes { try ready.read(into: $0, at: range.lowerBound) }
      return bytes
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard buffer.isEmpty else { throw DFSError(.invalidArgument, "it was not made ready") }
  }
}
