import DFSClient
import DFSCommandLine
import DFSCore
import Glibc

/// The bytes of one version, from the servers to a file or a stream.
///
/// A file gets its four parts at once, in pieces at their places; then its MD5 is computed from what
/// was written. A stream gets the pieces in order, and the MD5 is known at its end. At most `width`
/// pieces are in memory.
struct Download: Sendable {
  static let width = 8
  static let pieceBytes = UInt64(Limits.chunkBytes)

  let service: any FileService & ClusterAdministration
  let version: Version
  let meter: Meter

  // MARK: To a file

  func write(to temporary: TemporaryFile) async throws {
    let meter = meter
    try await offload { [version] in
      try temporary.requireSpace(min(version.size, version.storedBytes))
    }
    try await inOrder(Self.interleaved(Split(size: version.size)), width: Self.width) { range in
      let bytes = try await read(range)
      try await offload { try write(bytes, to: temporary.file, at: range.lowerBound) }
      return range.count
    } take: { count in
      meter.advance(count)
    }
    try await checkAndCommit(temporary)
  }

  /// Writes bytes at their place; what is zeros in a file with holes becomes a hole. Blocks.
  func write(_ bytes: [UInt8], to file: OpenFile, at offset: UInt64) throws(DFSError) {
    if !version.layers.isEmpty, bytes.isZeros { return }
    try bytes.withBytes { bytes throws(DFSError) in
      try file.write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }

  /// Gives the file its name if it is the version's content.
  func checkAndCommit(_ temporary: TemporaryFile) async throws {
    meter.begin("checking")
    try await offload { [self] in
      try temporary.file.extend(to: version.size)
      try verify(temporary.file)
      try temporary.commit()
    }
  }

  /// Pieces of all four parts by turns, so that all servers work.
  static func interleaved(_ split: Split) -> some Sequence<Range<UInt64>> {
    let parts = PartIndex.all.map { split.range(of: $0) }
    let longest = parts.map { $0.upperBound - $0.lowerBound }.max() ?? 0
    return stride(from: 0, to: longest, by: UInt64.Stride(pieceBytes)).lazy.flatMap { offset in
      parts.lazy.filter { UInt64($0.count) > offset }.map { part in
        let start = part.lowerBound + offset
        return start..<min(start + pieceBytes, part.upperBound)
      }
    }
  }

  /// Compares what was written with the size and the MD5 of the version. Blocks.
  private func verify(_ file: OpenFile) throws {
    let status = try file.status()
    var hasher = MD5Hasher()
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(Self.pieceBytes), alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = try file.read(into: buffer, at: hasher.count)
      if count == 0 { break }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      meter.advanceBeside(count)
    }
    try compare(size: UInt64(status.st_size), hasher.finish())
  }

  func compare(size: UInt64, _ md5: MD5Digest) throws(DFSError) {
    guard size == version.size, version.md5.map({ $0 == md5 }) ?? true else {
      throw DFSError(
        .damaged,
        "what was read has \(size) bytes and the MD5 \(md5) instead of \(version.size) "
          + "bytes and \(version.md5?.description ?? "any"); nothing was kept, try again")
    }
  }

  // MARK: To a stream

  func write(to stream: ByteSink) async throws {
    let hash = StreamHash()
    try await inOrder(Self.consecutive(version.size), width: Self.width) { range in
      try await read(range)
    } take: { bytes in
      try await offload {
        try bytes.withUnsafeBytes {
          hash.update($0)
          try stream.write($0)
        }
      }
      meter.advance(bytes.count)
    }
    try compare(size: hash.count, hash.finish())
  }

  private static func consecutive(_ size: UInt64) -> some Sequence<Range<UInt64>> {
    stride(from: 0, to: size, by: UInt64.Stride(pieceBytes)).lazy.map { start in
      start..<min(start + pieceBytes, size)
    }
  }

  // MARK: Pieces

  private func read(_ range: Range<UInt64>) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < UInt64(range.count) {
      let rest = range.lowerBound + UInt64(bytes.count)..<range.upperBound
      let more = try await service.read(version, rest)
      guard !more.isEmpty, more.count <= rest.count else {
        throw DFSError(.protocolViolation, "a read of \(rest.count) bytes gave \(more.count)")
      }
      if bytes.isEmpty { bytes = more } else { bytes += more }
    }
    return bytes
  }
}

extension [UInt8] {
  fileprivate var isZeros: Bool {
    withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return true }
      return bytes[0] == 0 && memcmp(start, start + 1, bytes.count - 1) == 0
    }
  }
}
