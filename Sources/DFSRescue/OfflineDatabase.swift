internal import DFSCore
internal import DFSReplication
internal import DFSStore
internal import DFSSystem
internal import GRDB
internal import Glibc

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
    try lengthen("\(scratch)/\(NamespaceDatabase.fileName)")
    return try OfflineDatabase(directory: scratch, progress)
  }

  /// Gives a copy that was cut off zeros for the pages that are gone. SQLite refuses a file with fewer
  /// pages than its header says, though most rows may be there.
  private static func lengthen(_ copy: String) throws(DFSError) {
    let file = try File(copy, flags: O_RDWR)
    let length = try file.length()
    guard length >= UInt64(headerBytes) else { return }
    let header = try file.read(count: headerBytes, at: 0)
    let pageBytes = UInt64(UInt16(bigEndian: header[16..<18]))
    let (wanted, overflow) = pageBytes.multipliedReportingOverflow(
      by: UInt64(UInt32(bigEndian: header[28..<32])))
    // Where the header itself is damaged, what it says may be more than a file can have.
    if !overflow, length < wanted { try? file.setLength(wanted) }
  }

  private static let headerBytes = 100

  private init(directory: String, _ progress: RescueProgress) throws {
    let database = try NamespaceDatabase(directory: directory, known: nil)
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
