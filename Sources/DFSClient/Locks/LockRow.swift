internal import DFSCore
internal import Foundation

/// Who locks a file, on which mount: a row of the namespace (an attribute of the file that no program sees), so that it
/// is what three servers agree on, survives them, and every change of it is pushed.
///
/// A client that alone uses the locks of a file has its *token*, and grants them by itself. Once another waits it gives
/// the token back, and each one's locks are listed.
///
/// Invariants:
/// - While there is a token, nobody else has locks.
/// - Listed locks of different clients do not exclude each other.
/// - Who waits is granted in the order in which they came, where their locks exclude each other; but who has a lock of
///   the file waits behind nobody who only waits: of these one may wait for him, perhaps over others, and that would
///   never end.
struct LockRow: Codable, Equatable, Sendable {
  struct Held: Codable, Equatable, Sendable {
    var client: UInt64
    var locks: [FileLock]
  }

  struct Waiting: Codable, Equatable, Sendable {
    var client: UInt64
    var lock: FileLock
  }

  /// Who has the token.
  var token: UInt64?
  var held: [Held] = []
  var waiting: [Waiting] = []
  /// Clients that are to show that they live, by taking this away, and the number of that question.
  var asked: [UInt64: UInt64] = [:]

  /// For whom owners of locks here wait elsewhere (`FileLocks.Wait`).
  struct Told: Codable, Equatable, Sendable {
    var by: FileLocks.Party
    var edges: [FileLocks.Edge]
  }
  var told: [Told]?
  /// How many edges an owner tells, at most, of about 100 bytes each.
  static let edges = 32

  /// Locks that one client may list, and who may wait: the row stays small. 200 of about 100 bytes each.
  static let limit = 200

  /// What came of asking.
  enum Answer: Equatable, Sendable {
    case granted
    /// A client has to give the token back first.
    case recalled(from: UInt64)
    /// A lock of another client, of several the first in the file, or one who waits for longer, excludes it.
    case excluded(by: UInt64, FileLock)
    /// Others have removed what the client takes for its own.
    case lost
  }

  var isEmpty: Bool { token == nil && held.isEmpty && waiting.isEmpty }

  /// Every client that it names.
  var clients: Set<UInt64> {
    Set(held.map(\.client) + waiting.map(\.client)).union(token.map { [$0] } ?? [])
  }

  func locks(of client: UInt64) -> [FileLock] { held.first { $0.client == client }?.locks ?? [] }

  /// Whether a client may rely on its locks.
  func has(_ client: UInt64) -> Bool { token == client || held.contains { $0.client == client } }

  /// A client wants a lock.
  /// - Parameters:
  ///   - own: the locks that it has already.
  ///   - waits: it is noted as waiting if it is not granted.
  mutating func ask(
    _ wanted: FileLock, by client: UInt64, holding own: LockTable, waits: Bool
  ) -> Answer {
    if !own.isEmpty, !has(client) { return .lost }
    // With locks already it may have written over what others have changed since, which is to be seen (`isShared`).
    if clients.isSubset(of: [client]), token == client || own.isEmpty {
      (token, held, waiting, asked, told) = (client, [], [], [:], nil)
      return .granted
    }
    if let token, token != client {
      // It hears of this, and gives the token back.
      note(wanted, by: client)
      return .recalled(from: token)
    }
    if let (other, lock) = obstacle(wanted, client, own) {
      if waits { note(wanted, by: client) } else { forget(wanted, by: client) }
      return .excluded(by: other, lock)
    }
    forget(wanted, by: client)
    var table = own
    table.set(wanted)
    list(table.locks, of: client)
    return .granted
  }

  private func obstacle(
    _ wanted: FileLock, _ client: UInt64, _ own: LockTable
  ) -> (client: UInt64, lock: FileLock)? {
    var locks: [(client: UInt64, lock: FileLock)] = []
    for one in held where one.client != client {
      locks += one.locks.filter { $0.excludes(wanted) }.map { (one.client, $0) }
    }
    if let first = locks.min(by: { $0.lock.first < $1.lock.first }) { return first }
    for other in waiting {
      if other == Waiting(client: client, lock: wanted) { return nil }
      if other.client != client, !own.holds(wanted.owner), other.lock.excludes(wanted) {
        return (other.client, other.lock)
      }
    }
    return nil
  }

  /// Lists the locks that a client has now, in the place of those before, or of its token.
  mutating func list(_ locks: [FileLock], of client: UInt64) {
    if token == client { token = nil }
    held.removeAll { $0.client == client }
    if locks.isEmpty { forgetTold { $0.client == client } }
    if !locks.isEmpty { held.append(Held(client: client, locks: locks)) }
  }

  mutating func note(_ wanted: FileLock, by client: UInt64) {
    let entry = Waiting(client: client, lock: wanted)
    if !waiting.contains(entry) { waiting.append(entry) }
  }

  mutating func forget(_ wanted: FileLock, by client: UInt64) {
    waiting.removeAll { $0 == Waiting(client: client, lock: wanted) }
  }

  /// A client is gone.
  mutating func remove(_ client: UInt64) {
    if token == client { token = nil }
    held.removeAll { $0.client == client }
    waiting.removeAll { $0.client == client }
    asked[client] = nil
    forgetTold { $0.client == client }
  }

  // MARK: Who waits for whom

  /// Who waits here for whom of another client.
  var edges: [FileLocks.Edge] {
    waiting.flatMap { waiting in
      held.filter { $0.client != waiting.client }.flatMap { held in
        held.locks.filter { $0.excludes(waiting.lock) }.map { lock in
          FileLocks.Edge(
            from: FileLocks.Party(client: waiting.client, owner: waiting.lock.owner),
            to: FileLocks.Party(client: held.client, owner: lock.owner))
        }
      }
    }
  }

  /// What others told.
  func told(but client: UInt64) -> [FileLocks.Edge] {
    (told ?? []).filter { $0.by.client != client }.flatMap(\.edges)
  }

  mutating func tell(_ edges: [FileLocks.Edge], by client: UInt64, _ owner: FileLock.Owner) {
    let party = FileLocks.Party(client: client, owner: owner)
    forgetTold { $0 == party }
    if !edges.isEmpty, has(client) { told = (told ?? []) + [Told(by: party, edges: edges)] }
  }

  private mutating func forgetTold(_ isMeant: (FileLocks.Party) -> Bool) {
    told?.removeAll { isMeant($0.by) }
    if told?.isEmpty ?? false { told = nil }
  }

  // MARK: As it is stored

  /// The attribute of the file.
  static let name = AttributeName.locks

  /// - Throws: `damaged` if it is none.
  init(_ bytes: [UInt8]?) throws(DFSError) {
    self.init()
    guard let bytes else { return }
    do {
      self = try JSONDecoder().decode(LockRow.self, from: Data(bytes))
    } catch {
      throw DFSError(.damaged, "the locks of a file cannot be read", cause: error)
    }
  }

  init() {}

  /// Nil if there is nothing in it.
  /// - Throws: `noLocks` if there are more than fit.
  func encoded() throws(DFSError) -> [UInt8]? {
    if isEmpty { return nil }
    guard waiting.count <= Self.limit, held.allSatisfy({ $0.locks.count <= Self.limit }) else {
      throw DFSError(
        .noLocks,
        "a client has, or waits for, more than \(Self.limit) locks on one file that others lock too"
      )
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let bytes: [UInt8]
    do {
      bytes = Array(try encoder.encode(self))
    } catch {
      throw DFSError(.inputOutput, "the locks of a file cannot be written", cause: error)
    }
    guard bytes.count <= Limits.attributeValueBytes else {
      throw DFSError(
        .noLocks,
        "the locks of all clients on one file take \(bytes.count) bytes; the limit is "
          + "\(Limits.attributeValueBytes)")
    }
    return bytes
  }
}
