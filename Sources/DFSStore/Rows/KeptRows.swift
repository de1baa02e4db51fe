internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Foundation
internal import GRDB

/// Rows that a state transfer replaced, in `DIR/NAME/kept/`: what one client brings replaces what is here, and
/// should that turn out to be wrong, a person can go back (`dfs repair --restore`).
///
/// Invariants:
/// - A file under its final name is whole and on stable storage.
/// - Files are there for `StoreOptions.keepTransferredSeconds`, and as long as all of them take at most
///   `StoreOptions.keptBytes`; the oldest go first.
struct KeptRows {
  /// A transfer that removes at most so many names and inodes is not worth it: most often a server takes back
  /// a change or two that others dropped.
  static let allowance = 8
  private static let prefix = "rows."
  private static let suffix = ".sqlite"

  private let folder: String
  let directory: String

  /// - Parameter directory: the user's.
  init(_ directory: String) {
    self.directory = directory
    folder = "\(directory)/kept"
  }

  /// The files, the oldest first.
  func files() throws(DFSError) -> [String] {
    try (Disk.names(in: folder) ?? [])
      .filter { $0.hasPrefix(Self.prefix) && $0.hasSuffix(Self.suffix) }
      .sorted().map { "\(folder)/\($0)" }
  }

  /// Keeps the rows of `db` if those attached as `transfer` lack many of them. Not within a transaction.
  /// - Returns: the file, and how many names and inodes are about to go; nil if nothing had to be kept.
  func keep(
    _ db: Database, nowSeconds: Int64, _ options: StoreOptions
  ) throws -> (file: String, dropped: Int)? {
    let dropped = try Self.dropped(db)
    guard dropped > Self.allowance else { return nil }
    try Disk.makeDirectory(folder)
    let time = Self.name(ofSeconds: nowSeconds)
    let file = "\(folder)/\(Self.prefix)\(time).\(VersionID.random())\(Self.suffix)"
    let unfinished = file + ".new"
    do {
      try Self.write(db, to: unfinished)
      try Disk.rename(unfinished, file)
      try Disk.syncDirectory(folder)
    } catch {
      try? Disk.remove(unfinished)
      throw error
    }
    try trim(nowSeconds: nowSeconds, options)
    return (file, dropped)
  }

  private static func dropped(_ db: Database) throws -> Int {
    try Int.fetchOne(
      db,
      sql: """
        SELECT (SELECT count(*) FROM main.inode WHERE id NOT IN (SELECT id FROM transfer.inode))
          + (SELECT count(*) FROM main.entry e WHERE NOT EXISTS (SELECT 1 FROM transfer.entry s
            WHERE s.parent = e.parent AND s.name = e.name))
        """) ?? 0
  }

  private static func write(_ db: Database, to path: String) throws {
    try db.execute(sql: "ATTACH DATABASE ? AS kept", arguments: [path])
    defer { try? db.execute(sql: "DETACH DATABASE kept") }
    try db.execute(sql: "PRAGMA kept.synchronous = FULL")
    try db.transaction {
      try db.execute(
        sql: Schema.rows(in: "kept")
          + """

          INSERT INTO kept.inode SELECT * FROM main.inode;
          INSERT INTO kept.entry SELECT * FROM main.entry;
          INSERT INTO kept.attribute SELECT * FROM main.attribute;
          CREATE TABLE kept.state AS SELECT * FROM main.state;
          """)
      return true
    }
  }

  /// Removes what was kept long enough, and what is too much.
  func trim(nowSeconds: Int64, _ options: StoreOptions) throws(DFSError) {
    for name in try Disk.names(in: folder) ?? [] where !name.hasSuffix(Self.suffix) {
      try Disk.remove("\(folder)/\(name)")
    }
    var bytes: UInt64 = 0
    for file in try files().reversed() {
      guard let status = try Disk.status(file) else { continue }
      bytes += status.bytes
      let isOld = status.modifiedSeconds < nowSeconds - options.keepTransferredSeconds
      if isOld || bytes > options.keptBytes { try Disk.remove(file) }
    }
  }

  /// The head of rows that were kept, once each row was proved.
  /// - Throws: `damaged` if they are not what was kept.
  static func head(of file: String) throws -> Head {
    guard Disk.exists(file) else {
      throw DFSError(
        .notFound, "\(file.printable) is not there; 'dfs repair DIR' names what is kept")
    }
    do {
      var configuration = Configuration()
      configuration.readonly = true
      return try DatabaseQueue(path: file, configuration: configuration).read { db in
        let head = try Ledger.load(db).replica.head
        var sum = RowDigest.empty
        try RowScan(db: db).forEach { sum += RowDigest(of: $0) }
        guard sum == head.digest else {
          throw DFSError(.damaged, "its rows have the digest \(sum), not \(head.digest)")
        }
        return head
      }
    } catch {
      throw DFSError(.damaged, "\(file.printable) is not as it was kept", cause: error)
    }
  }

  /// As 20261124T231500Z: UTC.
  static func name(ofSeconds seconds: Int64) -> String {
    let text = Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    return text.filter { $0 != "-" && $0 != ":" }
  }
}
