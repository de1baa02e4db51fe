internal import DFSClient
internal import DFSCore
internal import Synchronization

/// An open file as one opener has it.
final class FileHandle: Sendable {
  let file: OpenFile
  let appends: Bool

  init(_ file: OpenFile, appends: Bool) {
    self.file = file
    self.appends = appends
  }
}

/// An open directory: its entries as they were when it was read from the front.
final class DirectoryHandle: Sendable {
  let directory: InodeID
  let items: Mutex<[DirectoryPage.Item]?> = Mutex(nil)

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

  func directory(_ handle: UInt64) throws(DFSError) -> DirectoryHandle {
    guard let directory = state.withLock({ $0.directories[handle] }) else {
      throw Self.unknown(handle)
    }
    return directory
  }

  func removeFile(_ handle: UInt64) -> FileHandle? {
    state.withLock { $0.files.removeValue(forKey: handle) }
  }

  func removeDirectory(_ handle: UInt64) { state.withLock { $0.directories[handle] = nil } }

  private static func unknown(_ handle: UInt64) -> DFSError {
    DFSError(.staleHandle, "no open file has the handle \(handle)")
  }
}

/// The files that are open here, by inode.
final class OpenFileTable: Sendable {
  private let files = Mutex<[InodeID: OpenFile]>([:])

  subscript(id: InodeID) -> OpenFile? { files.withLock { $0[id] } }

  var isEmpty: Bool { files.withLock { $0.isEmpty } }
  var all: [OpenFile] { files.withLock { Array($0.values) } }

  /// The open file for `inode` with one more handle: the one there is, if it is of that version or
  /// has unpublished changes or no name; else a new one, and the handles of the old one keep that.
  /// - Returns: also whether handles remain that read another version.
  func open(_ inode: Inode, context: FileContext) -> (file: OpenFile, isDivided: Bool) {
    files.withLock { files in
      let old = files[inode.id]
      if let old, join(old, inode.version?.id) { return (old, old.isDivided) }
      let new = OpenFile(inode, context: context, isDivided: old != nil)
      new.state.withLock { $0.handles = 1 }
      files[inode.id] = new
      return (new, old != nil)
    }
  }

  private func join(_ file: OpenFile, _ version: VersionID?) -> Bool {
    file.state.withLock { state in
      guard state.isDirty || state.isRemoved || state.base?.id == version else { return false }
      state.handles += 1
      return true
    }
  }

  func add(created file: OpenFile) {
    file.state.withLock { $0.handles = 1 }
    files.withLock { $0[file.id] = file }
  }

  /// One handle less.
  /// - Returns: whether it was the last.
  func close(_ file: OpenFile) -> Bool {
    files.withLock { files in
      let isLast = file.state.withLock { state in
        state.handles -= 1
        return state.handles == 0
      }
      if isLast, files[file.id] === file { files[file.id] = nil }
      return isLast
    }
  }
}
