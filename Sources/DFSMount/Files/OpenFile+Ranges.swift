internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Space, holes and copies of ranges of an open file.
extension OpenFile {
  /// Takes space for a range, so that a write there does not find the spool full.
  /// - Parameter grows: whether the file becomes at least as long as the range's end.
  func allocate(
    _ range: Range<UInt64>, grows: Bool, progress: @escaping @Sendable () -> Void
  ) async throws {
    try await lock.alone(progress) {
      let (spool, base) = self.state.withLock { ($0.spool, $0.base) }
      let old = spool?.size ?? base?.size ?? 0
      // What is stored has its space.
      if spool == nil, !grows || range.upperBound <= old { return }
      let local = try self.spool()
      try await DiskQueue.run { () throws(DFSError) in try local.allocate(range, grows: grows) }
      if local.size != old { self.changed() }
    }
  }

  /// Makes a range read as zeros.
  /// - Parameter grows: whether the file becomes at least as long as the range's end; the space of
  ///   the range is taken then, else it is given back.
  func zero(
    _ range: Range<UInt64>, takesSpace: Bool, grows: Bool,
    progress: @escaping @Sendable () -> Void
  ) async throws {
    try await lock.alone(progress) {
      let local = try await self.spoolToWrite(progress)
      try await DiskQueue.run { () throws(DFSError) in
        if takesSpace { try local.allocate(range, grows: grows) }
        try local.punch(range)
        if takesSpace { try local.allocate(range, grows: false) }
      }
      self.changed()
    }
  }

  /// Where data or a hole begins, from `offset` on.
  /// - Parameter isExact: no pages of the kernel may have bytes that are not here yet.
  /// - Returns: nil if there is none up to the end.
  func seek(
    _ offset: UInt64, _ sought: SpoolFile.Sought, isExact: Bool
  ) async throws -> UInt64? {
    let (spool, base) = state.withLock { ($0.spool, $0.base) }
    if let spool, isExact {
      guard let below = spool.missing?.version, below.storedBytes < below.size else {
        return try await DiskQueue.run { () throws(DFSError) in try spool.seek(offset, sought) }
      }
      let map = try await context.service.map(of: below)
      return try await DiskQueue.run { () throws(DFSError) in
        try spool.seek(offset, sought, over: map)
      }
    }
    let size = spool?.size ?? base?.size ?? 0
    guard offset < size else { return nil }
    guard spool == nil, let base, base.storedBytes < base.size else {
      return sought == .data ? offset : size
    }
    return try await context.service.map(of: base).next(sought == .data, from: offset)
  }

  // MARK: Copying

  /// Copies from another open file, or this one, without the kernel's seeing the bytes.
  /// - Returns: how many bytes; fewer than `count` only at the other's end.
  func copy(
    from source: OpenFile, at start: UInt64, to offset: UInt64, count: UInt64,
    progress: @escaping @Sendable () -> Void
  ) async throws -> UInt64 {
    guard start < source.size else { return 0 }
    return try await lock.alone(progress) {
      if let shared = try self.share(source, at: start, to: offset, count: count) { return shared }
      let count = min(count, Self.copyBytes)
      let spool = try await self.spoolToWrite(progress)
      var done: UInt64 = 0
      while done < count {
        try Task.checkCancellation()
        let piece = Int(min(count - done, UInt64(Limits.chunkBytes)))
        do {
          let bytes = Array(try await source.read(at: start + done, count: piece).joined())
          guard !bytes.isEmpty else { break }
          let written = try await self.put(bytes, into: spool, at: offset + done)
          done += UInt64(written)
          guard written == bytes.count else { break }
        } catch {
          // What was copied before is there; the next call gets the error.
          guard done > 0 else { throw error }
          break
        }
        self.changed()
        progress()
        self.lock.noteProgress()
      }
      return done
    }
  }

  /// Bytes that one call copies one by one at most; who asked comes again.
  private static let copyBytes: UInt64 = 256 << 20

  /// Lets this be the version that another file is, from the front on, without copying a byte. With the lock.
  /// - Returns: how many bytes; nil if that cannot be.
  private func share(
    _ source: OpenFile, at start: UInt64, to offset: UInt64, count: UInt64
  ) throws(DFSError) -> UInt64? {
    guard source !== self, start == offset,
      let version = source.state.withLock({ $0.isAsPublished ? $0.base : nil }),
      !Split(size: version.size).isInline
    else { return nil }
    let end = min(version.size, start + min(count, version.size))
    guard try spool().share(version, of: source.target, from: start, to: end) else { return nil }
    hold(version)
    changed()
    return end - start
  }

  private func put(
    _ bytes: [UInt8], into spool: Spool, at offset: UInt64
  ) async throws(DFSError) -> Int {
    try await DiskQueue.run { () throws(DFSError) in
      try bytes[...].withBytes { bytes throws(DFSError) in
        let (count, unhashed) = try spool.write(bytes, at: offset, keepsHoles: true)
        unhashed?.hash(bytes)
        return count
      }
    }
  }
}
