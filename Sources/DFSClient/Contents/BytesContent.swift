public import DFSCore

/// A content that is in memory.
public struct BytesContent: ContentSource {
  private let bytes: [UInt8]

  /// - Parameter bytes: the whole content.
  public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  public var size: UInt64 { UInt64(bytes.count) }
  public var md5: MD5Digest? { nil }
  public var isInMemory: Bool { true }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard offset <= size, UInt64(buffer.count) <= size - offset else {
      throw DFSError(
        .invalidArgument, "\(buffer.count) bytes at \(offset) of a content of \(size) bytes")
    }
    buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
  }
}
