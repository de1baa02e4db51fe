package import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire
internal import Synchronization

/// Reading the namespace: from the cache where that is right, else from the servers.
extension Namespace {
  /// - Throws: `staleHandle` if there is none (any more).
  package func inode(_ id: InodeID, _ freshness: Freshness) async throws -> Inode {
    var known = await cached(freshness) { $0.inode(id) }
    if !known.isKnown { known = try await read([.inode(id)]).known.inode(id) }
    guard let inode = known.value else {
      throw DFSError(.staleHandle, "inode \(id) does not exist any more")
    }
    return inode
  }

  /// The inode that a name leads to.
  package func lookup(
    _ parent: InodeID, _ name: FileName, _ freshness: Freshness
  ) async throws -> Inode {
    var known = await cached(freshness) {
      $0.isDirectory(parent) == true ? $0.childInode(parent, name) : .unknown
    }
    if !known.isKnown { known = try await ask(parent, name) }
    guard let inode = known.value else {
      throw DFSError(.notFound, "'\(name)' does not exist")
    }
    return inode
  }

  /// Asks servers for a name, and for others of its directory where that is gone through.
  private func ask(_ parent: InodeID, _ name: FileName) async throws -> Known<Inode> {
    let question = directoriesAhead.withLock { $0.missed(parent, name, at: environment.now) }
    if question == .whole {
      // A page of more than one says nothing of a name that is not in it.
      if let items = try await whole(parent) {
        return Known(items.first { $0.name == name }?.inode)
      }
      directoriesAhead.withLock { $0.isLarge(parent) }
    }
    var queries: [Query] = [.inode(parent), .entry(parent: parent, name: name)]
    if question == .following { queries.append(.directory(parent, after: name)) }
    let rows = try await read(queries).known
    try requireDirectory(rows.inode(parent), parent)
    let known = rows.child(parent, name)
    directoriesAhead.withLock { $0.answered(parent, exists: known.value != nil) }
    return known
  }

  /// All entries of a directory that fits into one page; nil if it does not.
  private func whole(_ directory: InodeID) async throws -> [DirectoryItem]? {
    let page = try await read([.inode(directory), .directory(directory, after: nil)])
    try requireDirectory(page.known.inode(directory), directory)
    let items = try page.items(of: directory, after: nil)
    guard !page.isPartial else { return nil }
    keep(items, of: directory, at: page.head)
    attributesAhead.withLock { $0.listed(items, in: .names) }
    return items
  }

  /// Keeps that these are all entries of a directory.
  private func keep(_ items: [DirectoryItem], of directory: InodeID, at head: Head) {
    let children = Dictionary(items.lazy.map { ($0.name, $0.inode.id) }) { $1 }
    cache.keep([.listing(directory, children)], at: head)
  }

  package func attributes(_ id: InodeID, _ freshness: Freshness) async throws -> [AttributeName:
    [UInt8]]
  {
    let known = await cached(freshness) { Known(unknownIfNil: $0.attributes(id)) }
    if let known = known.value { return known }
    let queries: [Query] = [.inode(id), .attributes(id)]
    let rows = try await read(queries + followers(of: queries)).known
    guard rows.inode(id).value != nil else {
      throw DFSError(.staleHandle, "inode \(id) does not exist any more")
    }
    return rows.attributes(id) ?? [:]
  }

  /// What to ask for besides, where attributes are asked for in the order of a listing: those that come next.
  func followers(of queries: [Query]) -> [Query] {
    for case .attributes(let id) in queries {
      return attributesAhead.withLock { $0.missed(id) }.filter { cache.attributes($0) == nil }
        .map { .attributes($0) }
    }
    return []
  }

  /// All entries with their inodes, in order.
  package func list(_ directory: InodeID, _ freshness: Freshness) async throws -> [DirectoryItem] {
    let items = try await entries(of: directory, freshness)
    attributesAhead.withLock { $0.listed(items, in: .listing) }
    return items
  }

  private func entries(
    of directory: InodeID, _ freshness: Freshness
  ) async throws -> [DirectoryItem] {
    if let items = await cachedListing(directory, freshness) { return items }
    if let unknown = cache.unknownChildren(of: directory), unknown.count < Limits.queries {
      // Many files with many layers do not fit one answer: then pages are asked for.
      _ = try? await read([.inode(directory)] + unknown.sorted().map { .inode($0) })
      if let items = await cachedListing(directory, freshness) { return items }
    }
    // Pages of different states are taken as they are only if the directory never rests.
    for _ in 0..<3 {
      let (items, isOneState) = try await listing(directory, mayChange: false)
      if isOneState { return items }
    }
    return try await listing(directory, mayChange: true).items
  }

  private func cachedListing(
    _ directory: InodeID, _ freshness: Freshness
  ) async -> [DirectoryItem]? {
    await cached(freshness) {
      Known(unknownIfNil: $0.isDirectory(directory) == true ? $0.listing(directory) : nil)
    }.value
  }

  /// - Parameter mayChange: rows may change between the pages; else the first change ends it.
  private func listing(
    _ directory: InodeID, mayChange: Bool
  ) async throws -> (items: [DirectoryItem], isOneState: Bool) {
    var items: [DirectoryItem] = []
    var after: FileName?
    var first: Head?
    var isOneState = true
    repeat {
      let queries: [Query] =
        (after == nil ? [.inode(directory)] : []) + [.directory(directory, after: after)]
      let page = try await read(queries)
      if after == nil { try requireDirectory(page.known.inode(directory), directory) }
      let more = try page.items(of: directory, after: after)
      items += more
      isOneState = isOneState && page.head.hasSameRows(as: first ?? page.head)
      guard isOneState || mayChange else { break }
      first = first ?? page.head
      after = page.isPartial ? more.last?.name : nil
    } while after != nil
    if isOneState, let first { keep(items, of: directory, at: first) }
    return (items, isOneState)
  }

  private func requireDirectory(_ known: Known<Inode>, _ id: InodeID) throws {
    guard let inode = known.value else {
      throw DFSError(.notFound, "directory \(id) does not exist any more")
    }
    guard inode.kind == .directory else {
      throw DFSError(.notDirectory, "inode \(id) is not a directory")
    }
  }

  // MARK: Cached or not

  /// What the cache knows, if that is good enough: at a moment after the call began, of which it is
  /// asked afterwards whether anybody else had changed anything before it. What the change under way
  /// writes is waited for: servers would only tell that it is not decided.
  private func cached<Value>(
    _ freshness: Freshness, _ body: @escaping @Sendable (inout RowCacheTable) -> Known<Value>
  ) async -> Known<Value> {
    let look = await cache.look(within: settings.hedge, in: environment, body)
    guard look.known.isKnown else { return .unknown }
    let isEnough =
      freshness == .pushed || freshness == .pushedIfThere && look.known.value != nil
    if isEnough, cache.isPushed { return look.known }
    var asked: AskedHeads?
    if case .currentAsKnown(let heads) = freshness { asked = heads }
    guard await pings.confirm(asked) else { return .unknown }
    if cache.isUndisturbed(since: look) { return look.known }
    return await cache.look(within: .zero, in: environment, body).known
  }

  /// A view that is just being taken is not disturbed: about 100 ms.
  private static let triesBeforeHelping = 6

  /// Rows with every change that was acknowledged before the call; with fewer than three servers,
  /// those of the server that has most.
  func read(_ queries: [Query]) async throws -> NamespacePage {
    let deadline = deadline
    var reading = QuorumRead(servers: servers, queries: queries, hedge: settings.hedge)
    var tries = 0
    if servers.reachable.isEmpty { await servers.requests.retryRefused() }
    while servers.reachable.count >= Limits.quorum {
      if case .truth(let rows) = await reading.attempt() {
        let page = try NamespacePage(queries, rows)
        cache.keep(page.findings, at: rows.head)
        return page
      }
      // It will not be another one if it is asked again.
      if let refusal = reading.refusal { throw refusal }
      guard environment.now < deadline else {
        throw DFSError(
          .timedOut, "no three servers agreed within \(settings.callTimeout) on what to read")
      }
      try Task.checkNotCancelled()
      tries += 1
      if tries < Self.triesBeforeHelping {
        let pause = environment.random(in: 1...Double(2 << tries))
        try? await environment.sleep(for: .milliseconds(pause))
      } else if try await !helped(until: deadline) {
        break
      }
    }
    await reading.attemptAll()
    guard let rows = reading.newest else {
      throw servers.missing(answering: servers.reachable, "nothing can be read")
    }
    return try NamespacePage(queries, rows)
  }

  /// Takes a view, so that what another client left half done is finished or dropped.
  /// - Returns: false if that cannot be done with the servers that answer.
  private func helped(until deadline: ContinuousClock.Instant) async throws -> Bool {
    do {
      try await agree(until: deadline)
      return true
    } catch let error as DFSError where error.code == .serversMissing {
      return false
    }
  }
}

/// Answers to queries with the head they belong to, decoded.
struct NamespacePage: Sendable {
  let findings: [Finding]
  let head: Head
  /// The last answer goes on after its last row.
  let isPartial: Bool

  init(_ queries: [Query], _ rows: QuorumRead.Rows) throws(DFSError) {
    var findings: [Finding] = []
    for (query, answer) in zip(queries, rows.answers) {
      findings += try Finding.of(query, answer)
    }
    self.findings = findings
    head = rows.head
    isPartial = rows.answers.last?.isPartial ?? false
  }

  var known: KnownRows { KnownRows(findings) }

  /// The entries of a directory that the page holds, in order.
  /// - Parameter after: the last name of the page before.
  /// - Throws: `protocolViolation` if the inode of any is missing, since a page holds both; if a name comes
  ///   twice, or the page does not go on from the one before.
  func items(of directory: InodeID, after: FileName?) throws(DFSError) -> [DirectoryItem] {
    var inodes: [InodeID: Inode] = [:]
    for case .inode(let id, let inode?) in findings { inodes[id] = inode }
    var items: [DirectoryItem] = []
    for case .entry(directory, let name, let child?) in findings {
      guard let inode = inodes[child] else {
        throw DFSError(
          .protocolViolation,
          "a server lists '\(name)' in directory \(directory), but not what it is")
      }
      items.append(DirectoryItem(name: name, inode: inode))
    }
    items.sort { $0.name < $1.name }
    for (name, next) in zip([after] + items.dropLast().map(\.name), items.lazy.map(\.name)) {
      guard name.map({ $0 < next }) ?? true else {
        throw DFSError(
          .protocolViolation, "a server lists '\(next)' in directory \(directory) more than once")
      }
    }
    guard !items.isEmpty || !isPartial else {
      throw DFSError(
        .protocolViolation, "a server says that directory \(directory) goes on, but not how")
    }
    return items
  }
}

extension Known {
  init(unknownIfNil value: Value?) { self = value.map { .present($0) } ?? .unknown }
}

/// The rows that a transaction reads: as they are at the head of this client's view.
struct NamespaceRows: RowSource {
  let namespace: Namespace
  let head: Head
  let deadline: ContinuousClock.Instant

  func find(_ queries: [Query]) async throws -> [Finding] {
    var findings: [Finding] = []
    var open: [Query] = []
    for query in queries {
      if let known = namespace.cache.findings(for: query) {
        findings += known
      } else {
        open.append(query)
      }
    }
    if !open.isEmpty { findings += try await ask(open + namespace.followers(of: open)) }
    return findings
  }

  /// Asks one server after the other until one answers from exactly this state.
  private func ask(_ queries: [Query]) async throws -> [Finding] {
    let servers = namespace.servers
    repeat {
      for server in servers.byPreference(servers.reachable) {
        guard
          let rows = try? await servers.query(
            queries, of: server, timeout: ServerPool.pingTimeout)
        else { continue }
        let theirs = rows.head
        if theirs.view == head.view, theirs.number == head.number {
          let page = try NamespacePage(queries, rows)
          namespace.cache.keep(page.findings, at: theirs)
          return page.findings
        }
        if theirs.view > head.view {
          throw DFSError(.superseded, "another client has view \(theirs.view)")
        }
      }
      try Task.checkNotCancelled()
      try? await servers.environment.sleep(for: .milliseconds(20))
      guard servers.reachable.count >= Limits.quorum else {
        throw servers.missing(answering: servers.reachable, "three servers are needed to write")
      }
    } while servers.environment.now < deadline
    throw DFSError(.timedOut, "no server answered in time; nothing was changed")
  }
}
