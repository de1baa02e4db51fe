internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Reading and writing an open file.
extension OpenFile {
  // MARK: Reading

  /// Reads without suspending, if the content is local.
  func readNow(at offset: UInt64, count: Int) throws(DFSError) -> [UInt8]? {
    let (spool, base) = state.withLock { ($0.spool, $0.base) }
    if let spool { return try spool.read(at: offset, count: count) }
    return base == nil ? [] : nil
  }

  /// The bytes of a range of a version, clamped to it, in consecutive pieces.
  func read(_ version: Version, at offset: UInt64, count: Int) async throws -> [ArraySlice<UInt8>] {
    let end = min(version.size, offset + UInt64(count))
    var next = offset
    var pieces: [ArraySlice<UInt8>] = []
    while next < end {
      let bytes = try await context.service.read(version, next..<end)
      guard !bytes.isEmpty else {
        throw DFSError(.damaged, "version \(version.id) ends at \(next) of \(version.size) bytes")
      }
      pieces.append(bytes[...])
      next += UInt64(bytes.count)
    }
    return pieces
  }

  func noteReading(_ version: Version) {
    state.withLock { context.kernel.noteReading(version.id, of: $0, id) }
  }

  // MARK: Writing

  /// Writes without suspending, if there is a spool and nobody needs it alone.
  /// - Parameter offset: nil for the end.
  /// - Returns: nil if it was not possible, else how many bytes were written, and what is still to
  ///   be hashed.
  func writeNow(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?
  ) throws(DFSError) -> (count: Int, unhashed: Spool.Unhashed?)? {
    guard lock.tryEnter() else { return nil }
    defer { lock.leave() }
    guard let spool = state.withLock({ $0.spool }) else { return nil }
    let written = try spool.write(bytes, at: offset)
    changed()
    return written
  }

  /// Writes after the old version was brought here.
  /// - Returns: how many of the bytes.
  func write(
    _ bytes: [UInt8], at offset: UInt64?, progress: @escaping @Sendable () -> Void
  ) async throws -> Int {
    try await lock.alone(progress) {
      let spool = try await self.spool(limit: .max, progress)
      let count = try await DiskQueue.run { () throws(DFSError) in
        try bytes[...].withBytes { bytes throws(DFSError) in
          let (count, unhashed) = try spool.write(bytes, at: offset)
          unhashed?.hash(bytes)
          return count
        }
      }
      self.changed()
      return count
    }
  }

  /// Changes the size.
  /// - Parameter isChange: an empty file that is emptied again was changed, too.
  func truncate(
    to size: UInt64, isChange: Bool = false, progress: @escaping @Sendable () -> Void
  ) async throws {
    try await lock.alone(progress) {
      let (spool, base) = self.state.withLock { ($0.spool, $0.base) }
      let isSame = (spool?.size ?? base?.size ?? 0) == size
      guard !isSame || isChange && size == 0 else { return }
      let local = try await self.spool(limit: size, progress)
      try await DiskQueue.run { () throws(DFSError) in try local.truncate(to: size) }
      self.changed()
    }
  }

  func changed() {
    context.kernel.noteChange(of: id)
    state.withLock { state in
      state.noteChange()
      state.modified = .now
      state.changed = state.modified
    }
  }

  /// The spool; made from the first `limit` bytes of the version if there is none. With the lock.
  func spool(limit: UInt64, _ progress: @Sendable () -> Void) async throws -> Spool {
    let (spool, base) = state.withLock { ($0.spool, $0.base) }
    if let spool { return spool }
    let made = Spool(budget: context.spools)
    if let base { try await copy(base, limit: limit, into: made, progress) }
    state.withLock { $0.content = .published(made, .stable) }
    return made
  }

  private func copy(
    _ version: Version, limit: UInt64, into spool: Spool, _ progress: @Sendable () -> Void
  ) async throws {
    let end = min(limit, version.size)
    var offset: UInt64 = 0
    while offset < end {
      try Task.checkCancellation()
      let pieces = try await read(
        version, at: offset, count: Int(min(end - offset, UInt64(Limits.chunkBytes))))
      offset += UInt64(pieces.reduce(0) { $0 + $1.count })
      for piece in pieces { try await append(piece, to: spool) }
      progress()
      lock.noteProgress()
    }
  }

  /// Appends while nobody else writes; zeros become a hole.
  private func append(_ bytes: ArraySlice<UInt8>, to spool: Spool) async throws(DFSError) {
    try await DiskQueue.run { () throws(DFSError) in
      try bytes.withBytes { bytes throws(DFSError) in
        let (count, unhashed) = try spool.write(bytes, at: nil, keepsHoles: true)
        unhashed?.hash(bytes)
        guard count == bytes.count else {
          throw DFSError(.noSpace, "the disk of the spool is full")
        }
      }
    }
  }
}
