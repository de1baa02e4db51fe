internal import DFSCore
package import DFSReplication
package import GRDB

/// The one row of `state`: what the replica decides by, where the log begins, and counts. The
/// writer keeps it in memory and stores it with each transaction that changed it.
package struct Ledger: Hashable, Sendable {
  package var replica = Replica()
  /// The log holds the changes logBase + 1 … head.number; `logBaseDigest` is that of the rows at
  /// `logBase`.
  var logBase: UInt64 = 0
  var logBaseDigest = RowDigest.empty
  /// Bytes of the log; not stored, but counted when the writer begins.
  var logBytes = 0
  var inodes: UInt64 = 0
  /// Every change up to this number is known to be on at least three servers: a client appends one
  /// only after the one before was acknowledged by three.
  var committed: UInt64 = 0
  /// Counts the transactions that changed rows or head, so that a reader's snapshot can be compared
  /// with what was made known.
  var generation: UInt64 = 0

  /// - Parameter format: of the database; the first one has no identities of namespaces.
  package static func load(
    _ db: Database, format: Int32 = NamespaceDatabase.format
  ) throws -> Ledger {
    let isNamed = format > 1
    let sql = """
      SELECT promisedRound, promisedClient, viewRound, viewClient, number, digest, logBase,
        logBaseDigest, inodes, generation, committed, checksum
        \(isNamed ? ", promisedNamespace, viewNamespace" : "") FROM state WHERE id = 1
      """
    guard let ledger = try db.first(sql, read: { try Ledger($0, isNamed: isNamed) }) else {
      throw DFSError(.damaged, "the database has no state")
    }
    return ledger
  }

  /// Of what is stored of it. Identities that are not there do not count, so that the state of the first
  /// format has the checksum that it had.
  var checksum: Int64 {
    let head = replica.head
    let named = [replica.promised.namespace, head.view.namespace]
    let identities = named.allSatisfy { $0 == nil } ? [] : named.flatMap(\.storedBytes)
    return RowChecksum.of(
      [
        replica.promised.round, replica.promised.client.value, head.view.round,
        head.view.client.value, head.number, logBase, inodes, generation, committed,
      ], head.digest.bytes, logBaseDigest.bytes, identities)
  }

  func save(_ db: Database) throws {
    let sql = """
      UPDATE state SET promisedRound = ?, promisedClient = ?, viewRound = ?, viewClient = ?,
        number = ?, digest = ?, logBase = ?, logBaseDigest = ?, inodes = ?, generation = ?,
        committed = ?, promisedNamespace = ?, viewNamespace = ?, checksum = ?
        WHERE id = 1
      """
    let (promised, head) = (replica.promised, replica.head)
    try db.perform(
      sql, .bits(promised.round), .bits(promised.client.value), .bits(head.view.round),
      .bits(head.view.client.value), .bits(head.number), head.digest.stored, .bits(logBase),
      logBaseDigest.stored, .bits(inodes), .bits(generation), .bits(committed),
      promised.namespace.stored, head.view.namespace.stored,
      .number(checksum))
  }
}

extension Ledger {
  /// A row of the columns that `load` asks for.
  fileprivate init(_ row: SQLRow, isNamed: Bool) throws(DFSError) {
    let namespaces: (promised: NamespaceID?, view: NamespaceID?) =
      isNamed ? (try row.namespace(12), try row.namespace(13)) : (nil, nil)
    let head = Head(
      view: View(
        round: try row.number(2), client: ClientID(try row.number(3)), namespace: namespaces.view),
      number: try row.number(4), digest: try row.digest(5))
    let promised = View(
      round: try row.number(0), client: ClientID(try row.number(1)),
      namespace: namespaces.promised)
    self.init(
      replica: Replica(promised: promised, head: head), logBase: try row.number(6),
      logBaseDigest: try row.digest(7), inodes: try row.number(8), committed: try row.number(10),
      generation: try row.number(9))
    guard max(promised.round, head.view.round, head.number) <= Limits.number,
      logBase <= head.number
    else { throw DFSError(.damaged, "the state of the database is out of its limits") }
    guard try row.integer(11) == checksum else {
      throw DFSError(.damaged, "the state of the database does not match its checksum")
    }
  }
}
