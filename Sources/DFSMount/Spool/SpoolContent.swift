internal import DFSClient
internal import DFSCore
internal import Synchronization

/// A spool as `FileService.publish` takes it: what is missing in it is fetched from the version below, piece
/// by piece. What half of the spool's budget has room for stays in it.
struct SpoolContent: ContentSource {
  let size: UInt64
  let md5: MD5Digest?
  private let spool: Spool
  private let service: any FileService
  /// Called after each piece that was fetched.
  private let fetched: @Sendable () -> Void

  /// The whole content; it must not be written meanwhile.
  init(
    of spool: Spool, from service: any FileService, fetched: @escaping @Sendable () -> Void
  ) async {
    let (digest, size) = spool.state.withLock { ($0.digest, $0.size) }
    self.spool = spool
    self.service = service
    self.fetched = fetched
    self.size = size
    md5 = await digest.finish(size: size)
  }

  var isInMemory: Bool { spool.isInMemory(size) }

  func ready(for range: Range<UInt64>) async throws -> any ContentSource {
    guard let missing = spool.missing(in: range) else { return self }
    let pieces: [FetchedBytes]
    do {
      pieces = try await service.fetch(missing, progress: fetched)
    } catch {
      let error = DFSError(anyError: error)
      guard error.code != .cancelled else { throw error }
      // What it says is of the version before, not of the file that is stored.
      let code = [.damaged, .timedOut].contains(error.code) ? error.code : .incomplete
      throw DFSError(
        code,
        "the file is stored as a whole, and \(missing.ranges.byteCount) bytes of it that were not written "
          + "cannot be read from the version before", cause: error)
    }
    let rest = try await DiskQueue.run { [spool] in
      pieces.filter { piece in
        do throws(DFSError) {
          try spool.take(piece, isSpare: true)
          return false
        } catch {
          // It is fetched again when it is needed again.
          return true
        }
      }
    }
    return rest.isEmpty ? self : PatchedContent(self, patches: rest)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try spool.read(into: buffer, at: offset)
  }
}
