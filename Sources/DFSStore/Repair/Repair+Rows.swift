public import DFSCore
internal import DFSReplication
internal import GRDB
internal import Logging

/// What an operator does when the rows themselves are wrong, or a promise is, while no server uses the
/// directory: it is done by the store of the user, as a server would open it.
extension Repair {
  /// A promise of a view that no client can have got to, or rows of one.
  public struct Rounds: Hashable, Sendable {
    /// The round of the view that was promised last.
    public let promised: UInt64
    /// The round of the view that the head is of.
    public let view: UInt64

    /// Whether nobody could make a view change any more, or soon.
    public var areAbsurd: Bool {
      view > Self.limit || !DFSReplication.Rounds.isPlausible(promised, beyond: view)
    }

    /// A thousand views a second for thirty years.
    static let limit: UInt64 = 1 << 40
  }

  /// The rows that state transfers replaced and that are kept, the oldest first.
  public func kept(_ user: UserName) throws -> [String] {
    try KeptRows("\(directory)/\(user)").files()
  }

  /// The rounds of the user's database, which must be good; nil if there is none.
  public func rounds(_ user: UserName) throws -> Rounds? {
    try DatabaseExamination.examine("\(directory)/\(user)").map {
      Rounds(promised: $0.replica.promised.round, view: $0.replica.head.view.round)
    }
  }

  /// Makes rows that were kept those of the user again. What they replace is kept in turn.
  /// - Returns: the number of the last change in them.
  public func restore(_ user: UserName, from file: String) async throws -> UInt64 {
    let head = try KeptRows.head(of: file)
    try await withStore(of: user) { store in
      let path = "\(store.copies.temporaryDirectory)/restore.\(VersionID.random())"
      let stage = try StagedState(path: path)
      try stage.begin(with: file, head.digest, without: [])
      try await store.writer.restore(stage, head)
    }
    return head.number
  }

  /// Takes the user's promise back to the view of the rows, and gives that an early round if need be.
  public func lowerRounds(_ user: UserName) async throws {
    try await withStore(of: user) { try await $0.writer.lowerRounds() }
  }

  private func withStore(
    of user: UserName, _ body: @Sendable (UserStore) async throws -> Void
  ) async throws {
    guard let name = try StoreIdentity.read("\(directory)/.dfs/identity")?.name,
      let server = ServerIndex(name: name)
    else { throw DFSError(.damaged, "\(directory)/.dfs/identity names no server") }
    let options = StoreOptions()
    let store = UserStore(
      user, directory: "\(directory)/\(user)", required: RequiredReplicas(server: server),
      options: options,
      queues: StoreQueues(options), openFiles: OpenPartFiles(),
      logger: Logger(label: "dfs") { _ in SwiftLogNoOpLogHandler() }
    ) { _ in }
    try await store.open()
    try await body(store)
    try await store.close()
  }
}

extension Writer {
  /// Replaces all rows, whatever was promised.
  func restore(_ stage: StagedState, _ head: Head) async throws {
    try await exclusive { state, database in
      guard let ledger = state.ledger else { throw Self.unread }
      guard try stage.finish() == head.digest else {
        throw DFSError(.damaged, "the rows are not as they were kept")
      }
      // (Those of a release before 1.1 name none.)
      if let here = ledger.replica.namespace, let kept = head.view.namespace, here != kept {
        throw DFSError(
          .configuration,
          "these rows are of another namespace (\(kept)) than this user's (\(here)); name a file that "
            + "'dfs repair DIR --user NAME' names")
      }
      _ = try self.guarding(&state) { state in
        try self.replaceRows(stage, head, ledger, &state, database)
      }
    }
  }

  /// The low bits of an absurd round are kept, so that views keep their order on all servers.
  private static let roundMask = Rounds.leap - 1

  func lowerRounds() async throws {
    try await exclusive { state, database in
      guard var ledger = state.ledger else { throw Self.unread }
      var head = ledger.replica.head
      if head.view.round > Repair.Rounds.limit {
        head.view = View(
          round: (head.view.round & Self.roundMask) + 1, client: head.view.client,
          namespace: head.view.namespace)
      }
      ledger.replica = Replica(promised: head.view, head: head)
      ledger.generation += 1
      try self.guarding(&state) { state in
        try database.pool.writeWithoutTransaction { [ledger] db in
          try database.setDurable(true, db)
          try db.transaction {
            try ledger.save(db)
            return true
          }
        }
        state.ledger = ledger
      }
    }
  }
}
