public import DFSCore

/// A content of which some bytes were fetched, and are read in place of its own.
public struct PatchedContent: ContentSource {
  private let content: any ContentSource
  private let patches: [FetchedBytes]

  /// - Parameter patches: within the content.
  public init(_ content: any ContentSource, patches: [FetchedBytes]) {
    self.content = content
    self.patches = patches
  }

  public var size: UInt64 { content.size }
  public var md5: MD5Digest? { content.md5 }
  public var isInMemory: Bool { content.isInMemory }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try content.read(into: buffer, at: offset)
    for patch in patches { patch.copy(into: buffer, at: offset) }
  }
}

extension FetchedBytes {
  /// Copies what of them is in the range of a content that `buffer` has from `start` on.
  public func copy(into buffer: UnsafeMutableRawBufferPointer, at start: UInt64) {
    let wanted = (start..<start + UInt64(buffer.count))
      .clamped(to: offset..<offset + UInt64(bytes.count))
    guard !wanted.isEmpty else { return }
    let first = bytes.startIndex + Int(wanted.lowerBound - offset)
    UnsafeMutableRawBufferPointer(rebasing: buffer[Int(wanted.lowerBound - start)...])
      .copyBytes(from: bytes[first..<first + wanted.count])
  }
}

/// A content that lies over a version, from which comes what it lacks.
struct CompletedContent: ContentSource {
  let written: any ContentSource
  let missing: MissingBytes
  let service: any FileService

  var size: UInt64 { written.size }
  var md5: MD5Digest? { nil }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    let ranges = missing.ranges.parts(of: range)
    guard !ranges.isEmpty else { return written }
    let fetched = try await service.fetch(MissingBytes(ranges, of: missing.version))
    return PatchedContent(written, patches: fetched)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try written.read(into: buffer, at: offset)
  }
}
