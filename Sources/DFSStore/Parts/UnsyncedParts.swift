internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// The complete copies that were acknowledged without being on stable storage yet, each with the
/// descriptor it was written through, so that a failure of writing it back is told to us.
///
/// Invariants:
/// - `sync` is called for the copies that a change names before that change is on stable storage.
/// - A copy whose fsync failed is quarantined: it is not found any more, and never acknowledged again
///   from the same bytes.
final class UnsyncedParts: Sendable {
  private struct Entry {
    let file: File
    let path: String
    let ticket: UInt64
  }

  private struct State {
    /// Is told of copies that were quarantined.
    var lost: (@Sendable (PartID, DFSError) -> Void)?
    var entries: [PartID: Entry] = [:]
    var tickets: UInt64 = 0
  }

  /// Open descriptors that may wait here; then whoever adds one waits for all to be synced.
  static let limit = 256

  private let folders: PartFolders
  private let damagedDirectory: String
  private let logger: Logger
  private let state = Mutex(State())
  private let flushing = Mutex(())

  init(folders: PartFolders, damagedDirectory: String, logger: Logger) {
    self.folders = folders
    self.damagedDirectory = damagedDirectory
    self.logger = logger
  }

  /// Sets who is told of copies that were quarantined.
  func observe(_ lost: @escaping @Sendable (PartID, DFSError) -> Void) {
    state.withLock { $0.lost = lost }
  }

  private var isFull: Bool { state.withLock { $0.entries.count >= Self.limit } }
  var ids: [PartID] { state.withLock { Array($0.entries.keys) } }
  func contains(_ id: PartID) -> Bool { state.withLock { $0.entries[id] != nil } }

  /// Renames a written file to its place and remembers it, in one step: whoever sees the copy there
  /// also sees that it is not on stable storage yet.
  func place(_ id: PartID, _ file: File, path: String) throws(DFSError) {
    let result = state.withLock { state in
      Result { () throws(DFSError) in
        try Disk.rename(file.path, path)
        state.tickets += 1
        state.entries[id] = Entry(file: file, path: path, ticket: state.tickets)
      }
    }
    try result.get()
    guard isFull else { return }
    flushing.withLock { _ in
      if isFull { sync(ids) }
    }
  }

  func forget(_ id: PartID) { state.withLock { $0.entries[id] = nil } }

  /// Brings those of `ids` that are waiting to stable storage, names included.
  /// - Returns: the copies for which that failed; they are quarantined.
  @discardableResult
  func sync(_ ids: [PartID]) -> [PartID] {
    let entries = state.withLock { state in
      ids.compactMap { id in state.entries[id].map { (id, $0) } }
    }
    guard !entries.isEmpty else { return [] }
    // All of them first, so that the file system commits them together at the first fsync.
    if entries.count > 1 { entries.forEach { $0.1.file.beginWriting() } }
    var failed: [PartID] = []
    var folders: [String: [(PartID, Entry)]] = [:]
    for (id, entry) in entries {
      do {
        try entry.file.sync()
        folders[Disk.parent(of: entry.path), default: []].append((id, entry))
      } catch {
        quarantine(id, entry, error)
        failed.append(id)
      }
    }
    return failed + folders.flatMap { syncFolder($0.key, $0.value) }
  }

  private func syncFolder(_ folder: String, _ entries: [(PartID, Entry)]) -> [PartID] {
    do {
      try folders.sync(folder)
      entries.forEach { applied($0.0, $0.1) }
      return []
    } catch {
      entries.forEach { quarantine($0.0, $0.1, error) }
      return entries.map(\.0)
    }
  }

  /// Removes the entry unless a newer copy took its place meanwhile.
  /// - Returns: whether it was still that one.
  @discardableResult
  private func applied(_ id: PartID, _ entry: Entry) -> Bool {
    state.withLock { state in
      guard state.entries[id]?.ticket == entry.ticket else { return false }
      state.entries[id] = nil
      return true
    }
  }

  private func quarantine(_ id: PartID, _ entry: Entry, _ error: DFSError) {
    guard applied(id, entry) else { return }
    logger.critical(
      "a copy could not be brought to stable storage and is quarantined; its other replica repairs it",
      metadata: ["part": "\(id)", "file": "\(entry.path)", "error": "\(error)"])
    do {
      try Disk.rename(entry.path, "\(damagedDirectory)/\(id).unsynced")
    } catch {
      logger.error("setting aside failed", metadata: ["part": "\(id)", "error": "\(error)"])
    }
    state.withLock { $0.lost }?(id, error)
  }
}
