internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Synchronization

/// An open file as one opener has it.
final class FileHandle: Sendable {
  let file: OpenFile
  let appends: Bool
  /// For reading and writing: it can be mapped, and written so.
  let isForBoth: Bool
  let isForReading: Bool
  /// It does not read and write through the kernel's pages.
  let isPastPages: Bool
  /// Something was changed through it since its last close(2) but by mappings, whose writes come by any handle.
  let hasChanged: Atomic<Bool>
  private let reader: Mutex<Reader>

  private struct Reader {
    /// Of those that have the handle, who opened it or was seen last at the end.
    var thread: Int32
    /// How often the file had gone on (`OpenFile.State.steps`) when the reader was told where its end is.
    var told: UInt64?
    /// The same when it came again, so that it has the answer.
    var end: UInt64?
  }

  /// - Parameter flags: of open(2).
  init(_ file: OpenFile, flags: Int32, isPastPages: Bool, _ caller: Caller) {
    self.file = file
    self.isPastPages = isPastPages
    appends = flags & O_APPEND != 0
    isForBoth = flags & O_ACCMODE == O_RDWR
    isForReading = flags & O_ACCMODE == O_RDONLY
    hasChanged = Atomic(flags & O_TRUNC != 0 || file.state.withLock { $0.isNew })
    reader = Mutex(Reader(thread: caller.thread))
  }

  var thread: Int32 { reader.withLock { $0.thread } }

  /// The reader stands at the end and asks for attributes: it has all that it read.
  func noteEnd(by caller: Caller) {
    let steps = file.steps
    reader.withLock { $0 = Reader(thread: caller.thread, told: steps, end: steps) }
  }

  /// The reader reads at the end. The first such call learns where the end is, and must not be given
  /// what is there in another version: it may have read all before that with this call.
  func noteReadAtEnd(by caller: Caller) {
    let steps = file.steps
    reader.withLock { reader in
      let isTold = reader.told == steps
      reader = Reader(thread: caller.thread, told: steps, end: isTold ? steps : nil)
    }
  }

  /// The reader reads up to the end, and is to be told again that it is there.
  func noteReadToEnd() { reader.withLock { $0.told = nil } }

  /// The reader reads before the end, past the kernel's pages.
  func noteMiddle() { reader.withLock { ($0.told, $0.end) = (nil, nil) } }

  /// Whether the reader has learned where the end of what the file is now is.
  var isAtEnd: Bool { file.steps == reader.withLock { $0.end } }
}

/// An open directory: its entries as they were when it was read from the front.
final class DirectoryHandle: Sendable {
  let directory: InodeID
  let listing: Mutex<DirectoryListing?> = Mutex(nil)

  init(_ directory: InodeID) { self.directory = directory }
}

/// What the kernel has open, by the numbers that it was given.
final class HandleTable: Sendable {
  private struct State {
    var next: UInt64 = 1
    var files: [UInt64: FileHandle] = [:]
    var directories: [UInt64: DirectoryHandle] = [:]
  }

  private let state = Mutex(State())

  func add(_ file: FileHandle) -> UInt64 {
    state.withLock { state in
      defer { state.next += 1 }
      state.files[state.next] = file
      return state.next
    }
  }

  func add(_ directory: DirectoryHandle) -> UInt64 {
    state.withLock { state in
      defer { state.next += 1 }
      state.directories[state.next] = directory
      return state.next
    }
  }

  func file(_ handle: UInt64) throws(DFSError) -> FileHandle {
    guard let file = state.withLock({ $0.files[handle] }) else { throw Self.unknown(handle) }
    return file
  }

  /// The files that have a handle.
  var openFiles: [OpenFile] {
    let all = state.withLock { state in state.files.values.map(\.file) }
    return Array(Dictionary(all.map { (ObjectIdentifier($0), $0) }) { first, _ in first }.values)
  }

  /// The same of one inode: more than one where it was opened at different versions.
  func openFiles(of id: InodeID) -> [OpenFile] {
    let all = state.withLock { state in
      state.files.values.lazy.map(\.file).filter { $0.id == id }.map { (ObjectIdentifier($0), $0) }
    }
    return Array(Dictionary(all) { first, _ in first }.values)
  }

  /// All of an inode, the last ones first.
  func files(of id: InodeID) -> [FileHandle] {
    let all = state.withLock { state in state.files.filter { $0.value.file.id == id } }
    return all.sorted { $0.key > $1.key }.map(\.value)
  }

  /// Whether any handle of an inode is for reading and writing.
  func isOpenForBoth(_ id: InodeID) -> Bool {
    state.withLock { $0.files.values.contains { $0.isForBoth && $0.file.id == id } }
  }

  func directory(_ handle: UInt64) throws(DFSError) -> DirectoryHandle {
    guard let directory = state.withLock({ $0.directories[handle] }) else {
      throw Self.unknown(handle)
    }
    return directory
  }

  func removeFile(_ handle: UInt64) { state.withLock { $0.files[handle] = nil } }

  var isEmpty: Bool { state.withLock { $0.files.isEmpty && $0.directories.isEmpty } }

  func removeDirectory(_ handle: UInt64) { state.withLock { $0.directories[handle] = nil } }

  private static func unknown(_ handle: UInt64) -> DFSError {
    DFSError(.staleHandle, "no open file has the handle \(handle)")
  }
}

/// The files that are open here, by inode.
///
/// Invariant: of the open files of one inode at most one goes through the kernel's pages; its size is
/// the only one that the kernel may be told, since it has one size for all handles.
final class OpenFileTable: Sendable {
  private struct State {
    /// Those that new handles join.
    var files: [InodeID: OpenFile] = [:]
    /// Those that go through the kernel's pages.
    var paged: [InodeID: OpenFile] = [:]
  }

  private let state = Mutex(State())

  /// The open file that new handles join.
  subscript(id: InodeID) -> OpenFile? { open(id).joined }

  /// The open file of an inode whose bytes are in the kernel's pages.
  func paged(_ id: InodeID) -> OpenFile? { open(id).paged }

  /// Both. One that was cut off shows nobody anything.
  func open(_ id: InodeID) -> (joined: OpenFile?, paged: OpenFile?) {
    let (joined, paged) = state.withLock { ($0.files[id], $0.paged[id]) }
    return (joined?.unlessCutOff, paged?.unlessCutOff)
  }

  var isEmpty: Bool { state.withLock { $0.files.isEmpty } }

  /// The open file for `inode` with one more handle: the one there is, if it is of that version or
  /// has unpublished changes or no name; or one that went on to that version; else a new one, and the
  /// handles of the old one keep that.
  /// - Parameters:
  ///   - inode: as it was asked for at `mark`.
  /// - Returns: nil if the inode is to be asked for again, since it was published here meanwhile, or is
  ///   just being: else the version before would be opened, and published over it, or the one after it,
  ///   beside the one that others have open.
  func open(
    _ inode: Inode, since mark: KernelCache.Mark, context: FileContext
  ) -> OpenFile? {
    state.withLock { state in
      let old = state.files[inode.id]
      if let old, join(old, inode.version?.id) { return old }
      if let paged = state.paged[inode.id], paged !== old,
        paged.isPublished(as: inode.version?.id), join(paged, inode.version?.id)
      {
        state.files[inode.id] = paged
        return paged
      }
      if old?.isPublishing ?? false || context.kernel.isOvertaken(inode.id, since: mark) {
        return nil
      }
      let isFirst = old == nil && state.paged[inode.id] == nil
      let new = OpenFile(inode, context: context, pages: isFirst ? .through : .past)
      new.state.withLock { $0.handles = 1 }
      state.files[inode.id] = new
      if isFirst { state.paged[inode.id] = new }
      return new
    }
  }

  /// The open file of an inode that is gone, with one more handle.
  func reopen(_ id: InodeID, if isMeant: (OpenFile.State) -> Bool) -> OpenFile? {
    state.withLock { state in
      guard let file = state.files[id] else { return nil }
      return file.state.withLock { state in
        guard isMeant(state) else { return nil }
        state.handles += 1
        return file
      }
    }
  }

  private func join(_ file: OpenFile, _ version: VersionID?) -> Bool {
    file.state.withLock { state in
      guard state.cutOff == nil, state.isDirty || state.isLocal || state.base?.id == version
      else { return false }
      state.handles += 1
      return true
    }
  }

  func add(created file: OpenFile) {
    file.state.withLock { $0.handles = 1 }
    state.withLock {
      $0.files[file.id] = file
      $0.paged[file.id] = file
    }
  }

  /// One handle less.
  /// - Returns: whether it was the last.
  func close(_ file: OpenFile) -> Bool {
    state.withLock { state in
      let isLast = file.state.withLock { state in
        state.handles -= 1
        return state.handles == 0
      }
      if isLast, state.files[file.id] === file { state.files[file.id] = nil }
      if isLast, state.paged[file.id] === file { state.paged[file.id] = nil }
      return isLast
    }
  }
}
