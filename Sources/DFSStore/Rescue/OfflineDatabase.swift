internal import DFSCore
internal import DFSReplication
internal import GRDB

/// A user's database of a server that does not run, read through a copy of it and of its
/// write-ahead log: a server that was killed left changes in the log, and to open a database is to
/// write beside it.
///
/// Invariant: `proof` says whether its rows are the ones of its head.
final class OfflineDatabase: Sendable {
  /// What reading every row showed.
  enum Proof: Sendable {
    case proven
    /// Rows are missing, too many or do not match their checksums.
    case refuted(DFSError)
  }

  let database: NamespaceDatabase
  /// The head that its state names; nil if even that cannot be read.
  let head: Head?
  let proof: Proof

  /// - Parameter source: the user's directory.
  /// - Returns: nil if it has no database.
  /// - Throws: `damaged` (also of a format that is not ours) if it cannot be opened at all.
  static func open(
    _ source: String, scratch: String, watching progress: RescueProgress
  ) throws -> OfflineDatabase? {
    for suffix in ["", "-wal"] {
      let name = NamespaceDatabase.fileName + suffix
      let isThere = try ScratchDirectory.copy("\(source)/\(name)", to: "\(scratch)/\(name)")
      guard isThere || !suffix.isEmpty else { return nil }
    }
    return try OfflineDatabase(directory: scratch, progress)
  }

  private init(directory: String, _ progress: RescueProgress) throws {
    let database = try NamespaceDatabase(directory: directory)
    self.database = database
    head = try? database.pool.read { db in try Ledger.load(db).replica.head }
    do {
      _ = try database.pool.read { db in
        try RowCheck.prove(db) { try progress.checkInterruption() }
      }
      proof = .proven
    } catch {
      let error = DFSError.database(error, database.path)
      if error.code == .cancelled { throw error }
      proof = .refuted(error)
    }
  }

  var isProven: Bool {
    if case .proven = proof { true } else { false }
  }
}
