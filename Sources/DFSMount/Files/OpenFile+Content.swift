internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Reading and writing an open file.
extension OpenFile {
  // MARK: Reading

  /// Reads without suspending, if the bytes are here.
  func readNow(at offset: UInt64, count: Int) throws(DFSError) -> [UInt8]? {
    let (spool, base) = try layers()
    guard let spool else { return base == nil ? [] : nil }
    guard spool.missing(in: offset..<offset + UInt64(count)) == nil else { return nil }
    return try spool.read(at: offset, count: count)
  }

  /// The bytes of a range as handles read them, clamped to the content, in consecutive pieces.
  func read(at offset: UInt64, count: Int) async throws -> [ArraySlice<UInt8>] {
    let (spool, base) = try layers()
    let range = offset..<offset + UInt64(count)
    if let spool { return try await read(range, of: spool) }
    guard let base else { return [] }
    let wanted = range.clamped(to: 0..<base.size)
    guard !wanted.isEmpty else { return [] }
    return try await context.service.fetch(MissingBytes([wanted], of: base)).map(\.bytes)
  }

  private func layers() throws(DFSError) -> (spool: Spool?, base: Version?) {
    let (spool, base, failure) = state.withLock { ($0.spool, $0.base, $0.cutOff) }
    if let failure { throw failure }
    return (spool, base)
  }

  private func read(
    _ range: Range<UInt64>, of spool: Spool
  ) async throws -> [ArraySlice<UInt8>] {
    while true {
      let missing = spool.missing(in: range)
      do {
        return try await read(range, of: spool, but: missing)
      } catch {
        // What was published meanwhile is read in place of the version that was below.
        guard let missing, spool.missing(in: range)?.version.id != missing.version.id else {
          throw error
        }
      }
    }
  }

  private func read(
    _ range: Range<UInt64>, of spool: Spool, but missing: MissingBytes?
  ) async throws -> [ArraySlice<UInt8>] {
    let fetched =
      if let missing { try await context.service.fetch(missing) } else { [FetchedBytes]() }
    if missing?.ranges == [range.clamped(to: 0..<spool.size)] { return fetched.map(\.bytes) }
    var bytes = try await DiskQueue.run { () throws(DFSError) in
      try spool.read(at: range.lowerBound, count: range.count)
    }
    bytes.withUnsafeMutableBytes { buffer in
      for piece in fetched { piece.copy(into: buffer, at: range.lowerBound) }
    }
    return [bytes[...]]
  }

  /// The kernel is about to read it through its pages.
  func noteReading() {
    state.withLock { state in
      if let base = state.base { context.kernel.noteReading(base.id, of: state, id) }
    }
  }

  // MARK: Writing

  /// Writes without suspending, if nobody needs the spool alone, and nothing is to be fetched before.
  /// - Parameter offset: nil for the end.
  /// - Returns: nil if it was not possible, else how many bytes were written, and what is still to
  ///   be hashed.
  func writeNow(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?
  ) throws(DFSError) -> (count: Int, unhashed: Spool.Unhashed?)? {
    guard lock.tryEnter() else { return nil }
    defer { lock.leave() }
    let spool = try spool()
    guard !spool.isFragmented else { return nil }
    let written = try spool.write(bytes, at: offset)
    changed()
    return written
  }

  /// Writes when its turn comes.
  /// - Returns: how many of the bytes.
  func write(
    _ bytes: [UInt8], at offset: UInt64?, progress: @escaping @Sendable () -> Void
  ) async throws -> Int {
    try await lock.alone(progress) {
      let spool = try await self.spoolToWrite(progress)
      let inMemory = try bytes[...].withBytes { bytes throws(DFSError) -> Int? in
        // More takes time to be hashed.
        guard bytes.count <= Limits.blockBytes,
          let (count, unhashed) = try spool.writeInMemory(bytes, at: offset)
        else { return nil }
        unhashed?.hash(bytes)
        return count
      }
      if let inMemory {
        self.changed()
        return inMemory
      }
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
      guard self.contentSize != size || isChange && size == 0 else { return }
      let local = try self.spool()
      try await DiskQueue.run { () throws(DFSError) in try local.truncate(to: size) }
      self.changed()
    }
  }

  func noteMapped() { state.withLock { $0.isMapped = true } }

  func changed() {
    context.kernel.noteChange(of: id)
    state.withLock { state in
      state.noteChange()
      state.modified = .now
      state.changed = state.modified
    }
  }

  // MARK: The spool

  /// The spool; if there is none, a new one over the version that was opened. Nothing is fetched for it.
  /// - Throws: why the file cannot be used any more.
  func spool() throws(DFSError) -> Spool {
    try state.withLock { state throws(DFSError) in
      if let failure = state.cutOff { throw failure }
      if let spool = state.spool { return spool }
      let made = Spool(budget: context.spools, over: state.base)
      state.content = .published(made, .stable)
      return made
    }
  }

  /// The spool, with room in its list of missing ranges for those that a write may split. With the lock.
  func spoolToWrite(_ progress: @Sendable () -> Void) async throws -> Spool {
    let spool = try spool()
    while spool.isFragmented, let missing = spool.shortestMissing {
      try await bring(missing, into: spool, until: nil, progress)
    }
    return spool
  }

  /// Fetches what is missing in the spool into it. While nobody writes.
  /// - Throws: `timedOut` at the deadline, `noSpace` if the spool has no room; what reading throws.
  func bring(
    _ missing: MissingBytes, into spool: Spool, until deadline: ContinuousClock.Instant? = nil,
    _ progress: @Sendable () -> Void = {}
  ) async throws {
    for range in missing.ranges {
      var next = range.lowerBound
      while next < range.upperBound {
        try Task.checkCancellation()
        if let deadline, .now >= deadline {
          throw DFSError(.timedOut, "fetching \(missing.ranges.byteCount) bytes takes too long")
        }
        let end = min(range.upperBound, next + UInt64(Limits.chunkBytes))
        let pieces = try await context.service.fetch(
          MissingBytes([next..<end], of: missing.version))
        try await DiskQueue.run { () throws(DFSError) in
          for piece in pieces { try spool.take(piece, isSpare: false) }
        }
        next = end
        progress()
        lock.noteProgress()
      }
    }
  }
}
