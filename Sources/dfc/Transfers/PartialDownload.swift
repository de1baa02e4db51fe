import DFSClient
import DFSCommandLine
import DFSCore
import Glibc

/// The bytes of one version that can be had, each at its place: where parts or blocks have no good
/// copy on the servers that are up, a file has holes and a stream has zeros.
///
/// At most `Download.width` pieces are in memory.
struct PartialDownload: Sendable {
  let whole: Download
  private let salvage: Salvage
  private var version: Version { whole.version }

  init(_ whole: Download) {
    self.whole = whole
    salvage = Salvage(whole.version, on: whole.service)
  }

  // MARK: To a file

  /// Writes the file; if nothing was missing it is compared with the MD5 and gets its name, else it
  /// gets the name with `suffix` appended.
  /// - Returns: what is missing.
  func write(to temporary: TemporaryFile, suffix: String) async throws -> Gaps {
    let gaps = try await fill(temporary.file)
    guard !gaps.isEmpty else {
      try await whole.checkAndCommit(temporary)
      return gaps
    }
    try await offload { [version] in
      try temporary.file.extend(to: version.size)
      try temporary.commit(suffix: suffix)
    }
    return gaps
  }

  private func fill(_ file: OpenFile) async throws -> Gaps {
    var gaps = Gaps()
    let pieces = Download.interleaved(Split(size: version.size)).lazy
      .flatMap(Split(size: version.size).pieces(of:))
    try await inOrder(pieces, width: Download.width) { piece in
      let runs = try await salvage.read(piece)
      return (piece, try await offload { try write(runs, to: file) })
    } take: { piece, missing in
      gaps.add(missing, of: piece.part)
      whole.meter.advance(piece.range.count)
    }
    return gaps
  }

  /// Writes what there is. Blocks.
  /// - Returns: the runs that are missing.
  private func write(
    _ runs: [Salvage.Run], to file: OpenFile
  ) throws -> [Salvage.Run] {
    var missing: [Salvage.Run] = []
    for run in runs {
      guard case .bytes(let bytes) = run.content else {
        missing.append(run)
        continue
      }
      try whole.write(bytes, to: file, at: run.range.lowerBound)
    }
    return missing
  }

  // MARK: To a stream

  /// Writes the content in order, zeros where it is missing.
  func write(to stream: ByteSink) async throws -> Gaps {
    var gaps = Gaps()
    let hash = StreamHash()
    let split = Split(size: version.size)
    let pieces = PartIndex.all.lazy.flatMap { part in
      split.whole(part).steps(of: Limits.chunkBytes)
    }
    try await inOrder(pieces, width: Download.width) { piece in
      (piece, try await salvage.read(piece))
    } take: { piece, runs in
      gaps.add(runs, of: piece.part)
      try await offload {
        for run in runs {
          try run.bytes.withUnsafeBytes {
            hash.update($0)
            try stream.write($0)
          }
        }
      }
      whole.meter.advance(piece.range.count)
    }
    if gaps.isEmpty { try whole.compare(size: hash.count, hash.finish()) }
    return gaps
  }
}

extension Salvage.Run {
  /// The bytes; zeros for those that are missing.
  fileprivate var bytes: [UInt8] {
    switch content {
    case .bytes(let bytes): bytes
    case .missing: [UInt8](repeating: 0, count: range.count)
    }
  }
}
