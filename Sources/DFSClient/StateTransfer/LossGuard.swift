internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// Sees to it that the word of one server alone does not take most of what another one has: its names are
/// counted before they are replaced. (Inodes are not: those of layers come and go with every edit.) A person can
/// say that it is right (`dfc heal --accept-loss`).
///
/// What two servers tell is not questioned, nor what one change or two remove: a client that dies leaves its
/// last change on one server.
struct LossGuard: Sendable {
  /// Names that may go without a question.
  static let allowance = 4

  /// The one whose word it is.
  let source: ServerIndex
  let servers: ServerPool

  /// - Parameter dropped: names of `server` that would go.
  /// - Returns: nil if the server keeps at least half of what it has.
  /// - Throws: what kept its rows from being counted.
  func loss(
    of server: ServerIndex, dropping dropped: Int, of own: Int? = nil
  ) async throws(DFSError) -> DFSError? {
    guard dropped > Self.allowance else { return nil }
    var own = own
    if own == nil { own = try await count(server) }
    guard let own, dropped > own / 2 else { return nil }
    return DFSError(
      .damaged,
      "\(source) alone says that \(dropped) of the \(own) names that \(server) has are gone; nothing "
        + "was changed: if they are to be kept, stop \(source) and move the user's directory there away, so "
        + "that it is refilled; if they may go, say so with 'dfc CONF heal --accept-loss'")
  }

  private func count(_ server: ServerIndex) async throws(DFSError) -> Int {
    var rows = OrderedRows(server: server, servers: servers)
    var count = 0
    while let key = try await rows.next() { if key.isName { count += 1 } }
    return count
  }
}

/// What changes do to names: how many are gone in the end.
struct DroppedKeys: Sendable {
  private var keys: Set<RowKey> = []

  var count: Int { keys.count }

  mutating func perform(_ writes: [RowWrite]) {
    for write in writes where write.key.isName {
      if write.value == nil { keys.insert(write.key) } else { keys.remove(write.key) }
    }
  }

  mutating func drop(_ dropped: some Sequence<RowKey>) {
    keys.formUnion(dropped.lazy.filter(\.isName))
  }

  mutating func keep(_ kept: some Sequence<RowKey>) { keys.subtract(kept) }
}

/// How many names of a server are not among rows that it is sent, in their order.
struct LossCount: Sendable {
  private var rows: OrderedRows
  private(set) var own = 0
  private(set) var dropped = 0

  init(of server: ServerIndex, _ servers: ServerPool) {
    rows = OrderedRows(server: server, servers: servers)
  }

  /// The rows that come next.
  mutating func sent(_ keys: [RowKey]) async throws(DFSError) {
    for key in keys {
      while let next = try await rows.peek(), next <= key {
        try await take(next, isKept: next == key)
      }
    }
  }

  /// No more rows come.
  mutating func end() async throws(DFSError) {
    while let next = try await rows.peek() { try await take(next, isKept: false) }
  }

  private mutating func take(_ key: RowKey, isKept: Bool) async throws(DFSError) {
    _ = try await rows.next()
    guard key.isName else { return }
    own += 1
    if !isKept { dropped += 1 }
  }
}

/// All keys of a server's rows in their order, a page of them in memory.
struct OrderedRows: Sendable {
  let server: ServerIndex
  let servers: ServerPool
  private var page: ArraySlice<RowKey> = []
  private var last: RowKey?
  private var isAtEnd = false

  init(server: ServerIndex, servers: ServerPool) {
    self.server = server
    self.servers = servers
  }

  mutating func peek() async throws(DFSError) -> RowKey? {
    if page.isEmpty, !isAtEnd {
      let (rows, isPartial, _) = try await servers.everything(after: last, of: server)
      page = rows.map(\.key)[...]
      last = page.last ?? last
      isAtEnd = !isPartial
    }
    return page.first
  }

  mutating func next() async throws(DFSError) -> RowKey? {
    let next = try await peek()
    if next != nil { page.removeFirst() }
    return next
  }
}

extension ServerPool {
  /// A page of all rows of a server, in the order of their keys.
  /// - Throws: `protocolViolation` if it does not go on from the page before: it would go on for ever.
  func everything(
    after last: RowKey?, of server: ServerIndex
  ) async throws(DFSError) -> (rows: [Row], isPartial: Bool, head: Head) {
    let rows = try await query(
      [.everything(after: last)], of: server, timeout: StateTransfer.pageTimeout)
    guard let page = rows.answers.first else {
      throw DFSError(.protocolViolation, "\(server) did not answer a question for its rows")
    }
    let keys = [last].compactMap { $0 } + page.rows.map(\.key)
    guard zip(keys, keys.dropFirst()).allSatisfy({ $0 < $1 }), !page.rows.isEmpty || !page.isPartial
    else {
      throw DFSError(.protocolViolation, "\(server) told its rows out of order, or one twice")
    }
    return (page.rows, page.isPartial, rows.head)
  }
}

extension RowKey {
  /// A name in the tree; what it names goes with it. That of a file which is not settled is none.
  fileprivate var isName: Bool {
    if case .entry = self { !isOfLayers } else { false }
  }
}
