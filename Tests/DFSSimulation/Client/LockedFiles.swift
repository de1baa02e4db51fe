internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Foundation

/// A part of a file that programs lock: an attribute that holds the tokens of those who wrote it.
struct LockedCell: Hashable, Comparable {
  let inode: InodeID
  let index: Int

  static func < (one: Self, other: Self) -> Bool {
    (one.inode.value, one.index) < (other.inode.value, other.index)
  }

  static let names = ["left", "right"].map { text in
    guard let name = try? AttributeName("user.\(text)") else { preconditionFailure("a name") }
    return name
  }

  var key: RowKey { .attribute(inode, name: Self.names[index]) }

  static func tokens(_ bytes: [UInt8]?) -> [UInt64] {
    let bytes = bytes ?? []
    return stride(from: 0, to: bytes.count, by: 8).map {
      UInt64(bigEndian: Array(bytes[$0..<min($0 + 8, bytes.count)]))
    }
  }
}

/// What a mount does of files that are locked: it keeps what it has read and what was written, stores that when
/// another client is to get a lock, and reads anew what was written under a lock of others.
///
/// `@unchecked Sendable`: as `SimulatedLoop`; operations run on the thread of the world.
final class LockedFiles: LockUser, @unchecked Sendable {
  private struct Known {
    var tokens: [UInt64]
    /// Tokens of which it is not known that they are stored.
    var unstored: Set<UInt64> = []
  }

  private unowned let world: World
  private weak var client: DFSClient?
  private let id: ClientID
  private var cells: [LockedCell: Known] = [:]
  private var turns: [InodeID: AsyncLock] = [:]

  init(world: World, _ client: DFSClient, as id: ClientID) {
    (self.world, self.client, self.id) = (world, client, id)
  }

  private func turn(_ id: InodeID) -> AsyncLock {
    let turn = turns[id] ?? AsyncLock()
    turns[id] = turn
    return turn
  }

  private func cells(of id: InodeID) -> [LockedCell] {
    LockedCell.names.indices.map { LockedCell(inode: id, index: $0) }
  }

  /// The tokens in a part of a file, oldest first.
  func read(_ cell: LockedCell) async throws -> [UInt64] {
    if let known = cells[cell] { return known.tokens }
    try await turn(cell.inode).alone {
      if self.cells[cell] == nil { try await self.load(cell.inode) }
    }
    return cells[cell]?.tokens ?? []
  }

  func append(_ token: UInt64, to cell: LockedCell) {
    cells[cell]?.tokens.append(token)
    cells[cell]?.unstored.insert(token)
  }

  /// In turn.
  private func load(_ id: InodeID) async throws {
    guard let client else { return }
    let attributes = try await client.namespace.attributes(id, .current)
    for cell in cells(of: id) where cells[cell]?.unstored.isEmpty ?? true {
      cells[cell] = Known(tokens: LockedCell.tokens(attributes[LockedCell.names[cell.index]]))
    }
  }

  /// fsync: stores what was written to a file.
  func sync(_ id: InodeID) async throws {
    try await turn(id).alone { try await self.put(id) }
  }

  /// Whether anything was written that is not stored.
  var isUnstored: Bool { cells.values.contains { !$0.unstored.isEmpty } }

  /// Programs end their work, and close all files.
  func syncAll() async {
    for id in Set(cells.keys.map(\.inode)).sorted(by: { $0.value < $1.value }) {
      try? await sync(id)
    }
  }

  /// In turn.
  private func put(_ id: InodeID) async throws {
    let written = cells(of: id).filter { !(cells[$0]?.unstored.isEmpty ?? true) }
      .map { ($0, cells[$0]?.tokens ?? [], cells[$0]?.unstored ?? []) }
    guard let client, !written.isEmpty else { return }
    do {
      _ = try await client.namespace.transact(ChangeParts(), policy: .quorum) { change in
        try await client.checkLocks(id, in: &change)
        for (cell, tokens, _) in written {
          change.putAttribute(id, LockedCell.names[cell.index], tokens.flatMap(\.bigEndianBytes))
        }
      }
    } catch let error as DFSError where error.code == .locksLost {
      drop(id)
      throw error
    }
    for (cell, tokens, unstored) in written {
      cells[cell]?.unstored.subtract(unstored)
      world.trace("\(cell.key.brief) is stored: \(tokens)")
    }
  }

  /// What was written is lost: its locks are, or it cannot be stored. Programs are told.
  private func drop(_ id: InodeID) {
    for cell in cells(of: id) {
      world.locks.gone(cells[cell]?.unstored ?? [])
      cells[cell] = nil
    }
  }

  /// The program ends.
  func end() {
    world.locks.ended(id)
    world.locks.gone(cells.values.reduce(into: []) { $0.formUnion($1.unstored) })
  }

  // MARK: LockUser

  func isOpenAsSeveral(_ id: InodeID) -> Bool { false }

  func hasUnstored(_ id: InodeID) -> Bool {
    cells(of: id).contains { !(cells[$0]?.unstored.isEmpty ?? true) }
  }

  func store(_ id: InodeID) async throws {
    if world.mistake == .recallAnsweredBeforeFlush {
      Task { try? await self.sync(id) }
      return
    }
    do {
      try await sync(id)
    } catch let error as DFSError where error.code == .locksLost {
      // Programs are told.
    }
  }

  func refresh(_ id: InodeID) async throws {
    try await store(id)
    try await turn(id).alone { try await self.load(id) }
  }
}

extension Change {
  /// Rows of locks that do not say who waits.
  var withoutWaiting: Change {
    let writes = writes.map { write in
      guard case .attribute(_, AttributeName.locks) = write.key, let value = write.value,
        var row = try? JSONSerialization.jsonObject(with: Data(value.bytes)) as? [String: Any]
      else { return write }
      row["waiting"] = [Any]()
      guard let bytes = try? JSONSerialization.data(withJSONObject: row, options: .sortedKeys)
      else { return write }
      return RowWrite(write.key, RowValue(bytes: Array(bytes)))
    }
    return Change(id: id, writes: writes)
  }
}
