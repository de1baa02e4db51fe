public import DFSCore

/// A content to be published: read many times, at any offset, from any thread.
public protocol ContentSource: Sendable {
  /// Bytes.
  var size: UInt64 { get }
  /// The MD5, if it was computed while the content was written.
  var md5: MD5Digest? { get }
  /// Whether reading it does not wait for a disk.
  var isInMemory: Bool { get }
  /// Fetches what of a range is elsewhere; blocks no thread. To be called before the range is read.
  /// - Returns: the same content, of which `range` can be read with `read(into:at:)`.
  /// - Throws: a `DFSError` that says why it cannot be had.
  func ready(for range: Range<UInt64>) async throws -> any ContentSource
  /// Reads exactly `buffer.count` bytes at `offset`; may block (it is called on a thread for that).
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws
}

extension ContentSource {
  /// Reading may wait.
  public var isInMemory: Bool { false }

  /// All of it is here.
  public func ready(for range: Range<UInt64>) async throws -> any ContentSource { self }
}
