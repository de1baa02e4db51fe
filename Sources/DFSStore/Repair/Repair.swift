public import DFSCore
internal import DFSSystem
internal import Glibc

/// What an operator does about damaged databases while no server uses the directory: finding them,
/// and moving them out of the way. Nothing is ever deleted, and part files stay where they are.
public struct Repair: Sendable {
  /// What an examination of a user's database showed.
  public enum Verdict: Hashable, Sendable {
    /// Everything is what was written; so many rows.
    case good(rows: UInt64)
    /// There is no database yet.
    case absent
    case damaged(DFSError)
  }

  /// What was found about one user.
  public struct Finding: Hashable, Sendable {
    /// Whose database was examined.
    public let user: UserName
    /// What it was like before anything was moved.
    public let verdict: Verdict
    /// Where the database and what belongs to it were moved.
    public let quarantined: [String]
  }

  /// The server's directory, which is locked as long as this value lives.
  public let directory: String
  private let lock: DirectoryLock

  /// - Throws: `busy` if a server uses the directory, `configuration` if it is no server's.
  public init(directory: String) throws {
    guard try StoreIdentity.read("\(directory)/.dfs/identity") != nil else {
      throw DFSError(
        .configuration,
        "\(directory) is not a directory of a server: it has no .dfs/identity; name one that has")
    }
    self.directory = directory
    lock = try DirectoryLock("\(directory)/.dfs/lock", directory: directory)
  }

  /// Who has a directory here.
  public func users() throws -> [UserName] { try ServerStore.users(in: directory) }

  /// Checks the database of a user, for as long as it takes; with `quarantines` a damaged one is moved
  /// into the user's `damaged` directory.
  /// - Parameter progress: is told how many rows were read so far.
  public func check(
    _ user: UserName, quarantines: Bool, progress: @escaping (UInt64) -> Void = { _ in }
  ) throws -> Finding {
    let place = "\(directory)/\(user)"
    guard Disk.isDirectory(place) else {
      throw DFSError(.notFound, "\(place) is not there: \(user) has nothing on this server")
    }
    let rows = RowCount()
    let verdict = try verdict(place, rows) {
      rows.add($0)
      progress(rows.value)
    }
    var moved: [String] = []
    if case .damaged = verdict, quarantines { moved = try quarantine(place) }
    return Finding(user: user, verdict: verdict, quarantined: moved)
  }

  private func verdict(
    _ place: String, _ rows: RowCount, _ progress: @escaping DatabaseCheck.Progress
  ) throws(DFSError) -> Verdict {
    do {
      let ledger = try DatabaseExamination.examine(place, progress: progress)
      return ledger == nil ? .absent : .good(rows: rows.value)
    } catch {
      guard error.code == .damaged else { throw error }
      return .damaged(error)
    }
  }

  /// The database after its log, the mark last: after a crash in between, the rest is damaged still.
  private func quarantine(_ place: String) throws(DFSError) -> [String] {
    let target = "\(place)/damaged"
    try Disk.makeDirectory(target)
    let time = KeptRows.name(ofSeconds: WallClock.seconds)
    let names = ["-wal", "-shm", ""].map { NamespaceDatabase.fileName + $0 }
    var moved: [String] = []
    for name in names + [DatabaseMark.fileName] where Disk.exists("\(place)/\(name)") {
      let new =
        "\(target)/\(name.replacing("namespace.", with: "namespace.\(time).", maxReplacements: 1))"
      try Disk.rename("\(place)/\(name)", new)
      CrashPoint.reached(.databaseMoved)
      moved.append(new)
    }
    try Disk.syncDirectory(target)
    try Disk.syncDirectory(place)
    return moved
  }
}
