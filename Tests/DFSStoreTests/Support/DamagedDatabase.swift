import DFSCore
import DFSReplication
import DFSStoreFixtures
import Foundation
import Testing

@testable import DFSStore

/// A small user's database with something in every table, and everything that can be read of it: to
/// be copied, damaged and opened again.
final class DamagedDatabase: Sendable {
  /// All that a client can be told of it.
  struct Content: Hashable, Sendable {
    var head = Head.blank
    var rows: [DFSCore.Row] = []
    var log: [LogEntry] = []
    var missing: [MissingCopy] = []
    var parts: [PartID: [UInt8]] = [:]
  }

  /// How the directory was left.
  enum End { case closed, killed }

  static let pageBytes = NamespaceDatabase.pageBytes

  let place = TemporaryDirectory()
  let content: Content
  let parts: [PartID]

  init(_ end: End) async throws {
    let live = TemporaryDirectory()
    let store = try Fixture.open(live.path)
    let user = try await store.user(Fixture.alice)
    parts = try await Self.fill(user)
    content = try await Self.read(user, parts)
    if end == .closed { await store.close() }
    try FileManager.default.removeItem(atPath: place.path)
    try FileManager.default.copyItem(atPath: live.path, toPath: place.path)
    if end == .killed { await store.close() }
  }

  /// Files with small copies, attributes; copies that are missing, and some that are unreferenced.
  private static func fill(_ user: UserStore) async throws -> [PartID] {
    try await user.begin()
    var parts: [PartID] = []
    for number in 1...70 as ClosedRange<UInt64> {
      let version = VersionID.random()
      let file = Fixture.create(
        number, "file \(number)", version: version, value: Fixture.bytes(400, seed: number))
      let attribute = RowWrite(
        .attribute(InodeID(change: number, index: 0), name: Fixture.attributeName("user.a")),
        RowValue(bytes: Fixture.bytes(200, seed: number)))
      let change = Change(id: file.id, writes: file.writes + [attribute])
      // The second small copy of every third is missing, and so missing.
      let here = number.isMultiple(of: 3) ? [0] : [0, 1]
      let copies = here.map {
        Fixture.inline(version, $0, Fixture.bytes(number == 1 ? 9000 : 700, seed: number))
      }
      try await user.apply(change, parts: copies, durable: number == 30)
      parts += copies.map(\.id)
    }
    for number in 71...80 as ClosedRange<UInt64> {
      let inode = InodeID(change: number - 70, index: 0)
      try await user.apply(Fixture.replace(inode, .random(), sequence: number))
    }
    return parts
  }

  /// Reads everything; a small copy that is damaged is left out.
  static func read(_ user: UserStore, _ parts: [PartID]) async throws -> Content {
    var content = Content()
    var after: RowKey?
    repeat {
      let (answers, head) = try await user.query([.everything(after: after)])
      content.head = head
      content.rows += answers[0].rows
      after = answers[0].isPartial ? answers[0].rows.last?.key : nil
    } while after != nil
    let log = try await user.namespace(.log(after: 0), parts: [], held: [], durable: false)
    if case .log(_, let entries, _) = log { content.log = entries }
    content.missing = try await user.missing(session: 1, after: nil, limit: 1000, claims: false)
      .copies
    for id in parts {
      let damaged = await failure { content.parts[id] = try await user.get(id) }
      guard damaged == nil || damaged == .damaged, user.failure == nil else {
        throw user.failure ?? DFSError(.inputOutput, "part \(id): \(String(describing: damaged))")
      }
    }
    return content
  }

  enum Outcome: Hashable { case refused, same, lackedCopies, wrong(String) }

  /// Copies the directory, has `damage` do its work on the user's, and opens it.
  func outcome(_ damage: (String) throws -> Void) async throws -> Outcome {
    let copy = TemporaryDirectory()
    try FileManager.default.removeItem(atPath: copy.path)
    try FileManager.default.copyItem(atPath: place.path, toPath: copy.path)
    try damage(copy.path + "/alice")
    let store = try Fixture.open(copy.path)
    let outcome = await self.outcome(store)
    await store.close()
    guard outcome == .refused else { return outcome }
    // Not forgotten by the attempt: a server that is started again refuses as well.
    let again = try Fixture.open(copy.path)
    let second = await self.outcome(again)
    await again.close()
    return second == .refused ? .refused : .wrong("refused once, then \(second)")
  }

  private func outcome(_ store: ServerStore) async -> Outcome {
    do {
      let found = try await Self.read(try await store.user(Fixture.alice), parts)
      var expected = content
      // A bad small copy is a bad copy, missing from then on; never wrong bytes.
      for id in parts where found.parts[id] == nil { expected.parts[id] = nil }
      if found == content { return .same }
      return found == expected ? .lackedCopies : .wrong("head \(found.head), not \(content.head)")
    } catch let error as DFSError where error.code == .damaged || error.code == .configuration {
      return .refused
    } catch {
      return .wrong("\(error)")
    }
  }

  // MARK: Kinds of damage

  static func flip(_ path: String, at offset: Int, bit: UInt8) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.seek(toOffset: UInt64(offset))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: Data([byte ^ bit]))
  }

  static func zero(_ path: String, at offset: Int, count: Int) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: Data(count: count))
  }

  static func truncate(_ path: String, to length: Int) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.truncate(atOffset: UInt64(length))
  }

  func length(_ name: String) throws -> Int {
    let path = "\(place.path)/alice/\(name)"
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.size] as? Int) ?? 0
  }
}
