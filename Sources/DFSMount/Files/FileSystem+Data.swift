internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Reading and writing.
extension FileSystem {
  func read(
    _ handle: UInt64, at offset: UInt64, count: Int, _ caller: Caller
  ) async throws -> Reply {
    let handle = try handles.file(handle)
    let file = handle.file
    try await proveLocks(file.id)
    noteAccess(file)
    if handle.isPastPages {
      await follow(handle, at: offset, caller)
    } else {
      file.noteReading()
    }
    return .data(try await file.read(at: offset, count: count))
  }

  /// The same without waiting, if the bytes are here. Called first.
  /// - Parameter number: of the request (`PagesInFlight`).
  func readNow(
    _ handle: UInt64, at offset: UInt64, count: Int, _ number: PagesInFlight.Number
  ) throws(DFSError) -> Reply? {
    let handle = try handles.file(handle)
    let file = handle.file
    if !handle.isPastPages { file.pages.noteRead(offset..<offset + UInt64(count), number) }
    if areLocksInDoubt(file.id) { return nil }
    if handle.isPastPages, handle.isForReading, offset >= file.size { return nil }
    guard let bytes = try file.readNow(at: offset, count: count) else { return nil }
    noteAccess(file)
    return .data([bytes[...]])
  }

  /// A write(2), or what was written through a mapping.
  struct WriteRequest: Sendable {
    let handle: UInt64
    /// In the kernel's pages; what is appended goes to the end, wherever that is.
    let offset: UInt64
    /// The kernel writes from its pages, which it does not where the file ends.
    let isWriteback: Bool
    let caller: Caller
    let number: PagesInFlight.Number
  }

  /// After `writeNow` could not.
  func write(
    _ bytes: [UInt8], as request: WriteRequest, progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let handle = try handles.file(request.handle)
    let file = handle.file
    let count: Int
    do {
      try await proveLocks(file.id)
      if !request.isWriteback, mustClear(handle, request.caller) {
        try await clearPrivileges(file, request.caller)
      }
      count = try await file.write(bytes, at: place(of: request, handle), progress: progress)
    } catch {
      _ = file.pages.endWrite(request.number)
      throw error
    }
    noteWritten(handle, request.isWriteback)
    await dropStale(file.pages.endWrite(request.number), of: file)
    return .written(count)
  }

  /// The same without waiting and without a copy of the bytes: not if the file is just being published.
  /// - Returns: also what is still to be hashed, and what the kernel is to drop before it gets the answer.
  func writeNow(
    _ bytes: UnsafeRawBufferPointer, as request: WriteRequest
  ) throws(DFSError) -> (count: Int, unhashed: Spool.Unhashed?, stale: [Range<UInt64>])? {
    let handle = try handles.file(request.handle)
    let file = handle.file
    if !request.isWriteback, !handle.isPastPages {
      file.pages.beginWrite(
        request.offset..<request.offset + UInt64(bytes.count), request.number)
    }
    if areLocksInDoubt(file.id) { return nil }
    guard request.isWriteback || !mustClear(handle, request.caller) else { return nil }
    do {
      guard let written = try file.writeNow(bytes, at: place(of: request, handle)) else {
        return nil
      }
      noteWritten(handle, request.isWriteback)
      return (written.count, written.unhashed, file.pages.endWrite(request.number))
    } catch {
      _ = file.pages.endWrite(request.number)
      throw error
    }
  }

  private func place(of request: WriteRequest, _ handle: FileHandle) -> UInt64? {
    handle.appends && !request.isWriteback ? nil : request.offset
  }

  /// The kernel drops pages that it read before they were written here.
  func dropStale(_ stale: [Range<UInt64>], of file: OpenFile) async {
    for bytes in stale { await kernel.dropPages(of: file.id, bytes) }
  }

  private func noteWritten(_ handle: FileHandle, _ isWriteback: Bool) {
    if isWriteback {
      handle.file.noteMapped()
    } else {
      handle.hasChanged.store(true, ordering: .relaxed)
    }
  }
}
