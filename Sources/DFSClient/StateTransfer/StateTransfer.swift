internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire

/// Replaces rows of a server by those of another: for one that is blank, or whose rows are not a
/// beginning of the committed ones.
///
/// Most often such a server has a change or two that the others dropped: it keeps its rows but for those
/// that these changes wrote, which are read from the source. Otherwise it gets all rows.
///
/// Changes may be appended meanwhile: some rows then show them and others do not. Those changes are
/// performed on what was copied, in order: a row that one of them writes is then as the last one left
/// it, and any other as it was all the time. Other clients may take views meanwhile: what was copied
/// stays good, as a source's rows only go forward (unless they are refilled themselves, and then the log
/// does not go on from there), and the end waits until this client leads again. The server installs the
/// view only if the digest of what it got is that of the source. An unfinished transfer changes nothing.
struct StateTransfer: Sendable {
  static let pageTimeout = Duration.seconds(15)
  /// How long the end waits for this client to lead.
  static let patience = Duration.seconds(60)
  /// So many of a server's own changes, and of the rows that they wrote, are taken back.
  static let takenBack: (changes: UInt64, keys: Int) = (256, 2048)

  /// What a transfer is to come to.
  enum Aim: Sendable {
    /// This client leads, or is about to, and everything up to this head is committed.
    case committed(Head)
    /// Another client may lead.
    case unknown
    /// The server has come along by other means.
    case none
  }

  /// Rows that were sent.
  private struct Staged {
    /// Of whom they are, and what comes after them.
    let source: ServerIndex
    /// The changes that were performed on all of them.
    var number: UInt64
    var digest: RowDigest
    /// The last change of which they may show something.
    var seen: UInt64
    /// What is lost by them, where that matters: of the server's rows, and of how many if they were counted.
    var dropped = DroppedKeys()
    var counted: (dropped: Int, own: Int)?
  }

  private enum Begun {
    case staged(Staged)
    case installed(Head)
  }

  let server: ServerIndex
  /// The best comes first.
  let sources: [ServerIndex]
  /// In which it begins.
  let view: View
  let servers: ServerPool
  /// If the sources' rows are the word of one server alone.
  var lossGuard: LossGuard?
  /// What is done when that would drop most of what the server has.
  var lossFound: @Sendable (DFSError) async -> Void = { _ in }
  let aim: @Sendable () async -> Aim

  /// - Returns: where the server is then; nil if it has come along by other means.
  func run() async -> Result<Head?, DFSError> {
    do throws(DFSError) {
      for source in sources {
        guard let begun = try await takeBack(source) else { continue }
        if let end = try await complete(begun) { return .success(end) }
        if await isOver { return .success(nil) }
      }
      guard let source = sources.first else { return .failure(superseded) }
      if let end = try await complete(try await copyAll(source)) { return .success(end) }
      return await isOver ? .success(nil) : .failure(superseded)
    } catch {
      return .failure(error)
    }
  }

  private var isOver: Bool {
    get async { if case .none = await aim() { true } else { false } }
  }

  // MARK: All rows

  private func copyAll(_ source: ServerIndex) async throws(DFSError) -> Begun {
    if let head = try await begin(nil) { return .installed(head) }
    var first: Head?
    var seen: UInt64 = 0
    var last: RowKey?
    var loss = lossGuard.map { LossCount(of: server, $0.servers) }
    repeat {
      let (rows, isPartial, head) = try await servers.everything(after: last, of: source)
      first = first ?? head
      seen = max(seen, head.number)
      try await loss?.sent(rows.map(\.key))
      try await send(rows)
      last = isPartial ? rows.last?.key : nil
      if await isOver { break }
    } while last != nil
    guard let first else { throw superseded }
    try await loss?.end()
    var staged = Staged(
      source: source, number: first.number, digest: first.digest, seen: seen)
    staged.counted = loss.map { ($0.dropped, $0.own) }
    return .staged(staged)
  }

  /// - Returns: nil if it may go on; else where the server is, in the view.
  private func begin(_ own: OwnRows?) async throws(DFSError) -> Head? {
    let begin = Request.RefillBegin(view, own: own)
    switch try await servers.ask(server, begin, timeout: Self.pageTimeout) {
    case .begun: return nil
    case .refused(.installed(let head)): return head
    case .refused(let other): throw refused(other)
    }
  }

  private func send(_ rows: [Row]) async throws(DFSError) {
    guard !rows.isEmpty else { return }
    _ = try await servers.ask(server, Request.RefillRows(rows), timeout: Self.pageTimeout)
    CrashPoint.reached(.transferPageSent)
  }

  // MARK: Only what the server's own changes wrote

  /// - Returns: nil if the logs do not tell, or too many changes would have to be taken back.
  private func takeBack(_ source: ServerIndex) async throws(DFSError) -> Begun? {
    let theirs = try await log(of: server, after: Limits.number).head
    guard theirs.view != .none, let (number, digest) = try await meeting(of: theirs, source) else {
      return nil
    }
    let own = try await log(of: server, after: number)
    guard own.head == theirs, own.entries.last?.number ?? theirs.number == theirs.number else {
      return nil
    }
    let keys = own.entries.flatMap { $0.change.writes.map(\.key) }.withoutRepetition
    guard keys.count <= Self.takenBack.keys else { return nil }
    if let head = try await begin(OwnRows(head: theirs, without: keys)) {
      return .installed(head)
    }
    var seen = number
    var dropped = DroppedKeys()
    dropped.drop(keys)
    var queries = keys.map(\.query).withoutRepetition[...]
    while !queries.isEmpty {
      let asked = Array(queries.prefix(Self.queriesAtOnce))
      queries.removeFirst(asked.count)
      let rows = try await servers.query(asked, of: source, timeout: Self.pageTimeout)
      guard rows.answers.allSatisfy({ !$0.isPartial }) else { return nil }
      seen = max(seen, rows.head.number)
      let sent = rows.answers.flatMap(\.rows)
      dropped.keep(sent.lazy.map(\.key))
      try await send(sent)
    }
    return .staged(
      Staged(source: source, number: number, digest: digest, seen: seen, dropped: dropped))
  }

  /// An answer has room for all extended attributes of so many inodes.
  private static let queriesAtOnce = 3

  /// The last change, of those that are looked at, up to which the server and the source have the same.
  private func meeting(
    of theirs: Head, _ source: ServerIndex
  ) async throws(DFSError) -> (UInt64, RowDigest)? {
    var back: UInt64 = 0
    while back <= min(theirs.number, Self.takenBack.changes) {
      let number = theirs.number - back
      let right = try await log(of: source, after: number)
      if let base = right.base {
        guard let own = try await log(of: server, after: number).base else { return nil }
        if own == base { return (number, base) }
      } else if number <= right.head.number {
        return nil
      }
      back = max(1, back * 2)
    }
    return nil
  }

  // MARK: What came meanwhile, and the end

  /// Between two looks for further changes, the first time that there are none.
  private static let idlePause = Duration.milliseconds(5)

  /// - Returns: where the server is; nil if it did not take the rows, or needs them no more.
  private func complete(_ begun: Begun) async throws(DFSError) -> Head? {
    guard case .staged(var staged) = begun else {
      if case .installed(let head) = begun { return head }
      return nil
    }
    let deadline = servers.environment.now + Self.patience
    // Who is in a view has all that was committed before it, else it would count for what it lost.
    var least = Head.blank
    var idle = Self.idlePause
    while servers.environment.now < deadline {
      // Whoever is to tell of the next change may not lead any more, and not know it yet.
      var pause = idle
      idle = min(idle * 2, .milliseconds(200))
      let begin = staged.number
      switch await aim() {
      case .none: return nil
      case .committed(let head):
        if least.view != head.view { least = head }
        guard try await perform(&staged, upTo: head),
          staged.number >= max(staged.seen, least.number), staged.number <= head.number
        else { break }
        try await refuseLoss(staged)
        let to = Head(view: head.view, number: staged.number, digest: staged.digest)
        let reply = try await servers.ask(
          server, Request.RefillEnd(head.view, to: to), timeout: Self.pageTimeout)
        switch reply {
        case .installed(let head): return head
        case .refused: pause = .milliseconds(100)
        case .behind: return nil
        default: throw refused(reply)
        }
      case .unknown:
        // So that the log of the source does not leave it behind.
        _ = try await perform(&staged, upTo: nil)
        pause = .milliseconds(200)
      }
      // Changes may come as fast as pages of them are performed.
      if staged.number > begin { (pause, idle) = (Self.idlePause, Self.idlePause) }
      try? await servers.environment.sleep(for: pause)
    }
    throw superseded
  }

  /// Before the server's rows are replaced.
  private func refuseLoss(_ staged: Staged) async throws(DFSError) {
    guard
      let loss = try await lossGuard?.loss(
        of: server, dropping: staged.dropped.count + (staged.counted?.dropped ?? 0),
        of: staged.counted?.own)
    else { return }
    await lossFound(loss)
    throw loss
  }

  /// Has the server perform a page of the changes that come next.
  /// - Parameter head: up to which they are committed; nil: all but the newest are.
  /// - Returns: whether the source's rows are those of the view of `head`.
  private func perform(
    _ staged: inout Staged, upTo head: Head?
  ) async throws(DFSError) -> Bool {
    let log = try await log(of: staged.source, after: staged.number)
    // A change that shows in some rows may have been dropped by others since.
    guard log.base == staged.digest, log.head.number >= staged.seen else { throw superseded }
    if let head, log.head.view != head.view, !log.head.hasSameRows(as: head) { return false }
    let limit = head?.number ?? (log.head.number - min(1, log.head.number))
    let entries = log.entries.filter { $0.number <= limit }
    guard let last = entries.last else { return true }
    _ = try await servers.ask(server, Request.RefillChanges(entries), timeout: Self.pageTimeout)
    (staged.number, staged.digest) = (last.number, last.digest)
    if lossGuard != nil { for entry in entries { staged.dropped.perform(entry.change.writes) } }
    return true
  }

  /// A page of a log after change `number`.
  private func log(
    of server: ServerIndex, after number: UInt64
  ) async throws(DFSError) -> (base: RowDigest?, entries: [LogEntry], head: Head) {
    guard
      case .log(let base, let entries, let head) = try await servers.ask(
        server, Request.Namespace(.log(after: number)), timeout: Self.pageTimeout)
    else {
      throw DFSError(.protocolViolation, "\(server) answered a question for its log otherwise")
    }
    return (base, entries, head)
  }

  private var superseded: DFSError {
    DFSError(
      .superseded, "the rows that \(server) was sent are not the beginning of others any more")
  }

  private func refused(_ reply: NamespaceReply) -> DFSError {
    if case .refused(let later) = reply {
      return DFSError(.superseded, "\(server) has promised view \(later)")
    }
    return DFSError(.protocolViolation, "\(server) did not take a transfer")
  }
}

extension Array where Element: Hashable {
  /// Each element where it comes first.
  fileprivate var withoutRepetition: [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}

extension RowKey {
  /// What is asked to see the row.
  fileprivate var query: Query {
    switch self {
    case .inode(let id): .inode(id)
    case .entry(let parent, let name): .entry(parent: parent, name: name)
    case .attribute(let id, _): .attributes(id)
    }
  }
}
