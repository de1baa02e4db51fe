internal import DFSCore
internal import DFSReplication

/// Replaces rows of a server by those of another, as DFSClient's StateTransfer does: without its own
/// latest changes, or all; while changes are appended and views are taken.
final class SimulatedStateTransfer {
  /// How long the end waits for this client to lead.
  private static let patience = 120_000

  private let server: ServerIndex
  private let source: ServerIndex
  private let view: View
  private var id = 0
  private unowned let client: SimulatedClient
  private let end: (Head?) -> Void
  private var hasEnded = false
  private var page = 0
  /// Messages answered so far; answers to doubled messages are ignored.
  private var step = 0
  /// The change up to which all that was sent is performed; nil: nothing was sent yet.
  private var at: (number: UInt64, digest: RowDigest)?
  /// The last change that may show.
  private var seen: UInt64 = 0
  /// What was committed when the view that this client leads was first seen to be led.
  private var least = Head.blank
  private var isOwn = false
  private var deadline = 0

  init(
    _ server: ServerIndex, source: ServerIndex, _ view: View, client: SimulatedClient,
    _ end: @escaping (Head?) -> Void
  ) {
    (self.server, self.source, self.view, self.client, self.end) = (
      server, source, view, client, end
    )
  }

  func begin() {
    log(of: server, after: .max) { [self] _, _, theirs in
      theirs.view == .none ? copyAll() : meet(theirs, back: 0)
    }
  }

  // MARK: Only what the server's own changes wrote

  /// Looks for the last change up to which the server and the source have the same.
  private func meet(_ theirs: Head, back: UInt64) {
    guard back <= min(theirs.number, 8) else { return copyAll() }
    let number = theirs.number - back
    log(of: source, after: number) { [self] right, _, head in
      guard let right else {
        return number <= head.number ? copyAll() : meet(theirs, back: max(1, back * 2))
      }
      log(of: server, after: number) { [self] base, entries, now in
        guard let base else { return copyAll() }
        guard base == right else { return meet(theirs, back: max(1, back * 2)) }
        guard now == theirs, entries.last?.number ?? number == theirs.number else {
          return copyAll()
        }
        takeBack(entries, at: (number, base), theirs)
      }
    }
  }

  private func takeBack(
    _ entries: [LogEntry], at: (number: UInt64, digest: RowDigest), _ theirs: Head
  ) {
    let keys = Set(entries.flatMap { $0.change.writes.map(\.key) }).sorted { $0.order < $1.order }
    start(OwnRows(head: theirs, without: keys)) { [self] in
      ask(source, .query(keys, session: -1)) { [self] reply in
        guard case .rows(let rows, let head, _, _) = reply else { return finish(nil) }
        (self.at, seen, isOwn) = (at, max(at.number, head.number), true)
        send(keys.compactMap { rows[$0] }) { [self] in complete() }
      }
    }
  }

  // MARK: All rows

  private func copyAll() {
    (at, seen, isOwn) = (nil, 0, false)
    start(nil) { [self] in read(after: nil) }
  }

  private func start(_ own: OwnRows?, _ next: @escaping () -> Void) {
    client.world.lastRefill += 1
    (id, page) = (client.world.lastRefill, 0)
    deadline = client.world.now + Self.patience
    ask(server, .refillBegin(transfer: id, view, own: own)) { [self] reply in
      switch reply {
      case .done: next()
      case .namespace(.installed(let head)): finish(head)
      case .namespace(.behind): copyAll()
      default: finish(nil)
      }
    }
  }

  private func read(after last: RowKey?) {
    ask(source, .everything(after: last)) { [self] reply in
      guard case .page(let rows, let isLast, let head) = reply else { return finish(nil) }
      at = at ?? (head.number, head.digest)
      seen = max(seen, head.number)
      send(rows) { [self] in isLast ? complete() : read(after: rows.last?.key) }
    }
  }

  private func send(_ rows: [Row], _ next: @escaping () -> Void) {
    add(.refillRows(transfer: id, page: page, rows), next)
  }

  private func add(_ request: SimulatedRequest, _ next: @escaping () -> Void) {
    ask(server, request) { [self] reply in
      guard case .done = reply else { return finish(nil) }
      page += 1
      next()
    }
  }

  // MARK: What came meanwhile, and the end

  private func complete() {
    guard let at, client.world.now < deadline else { return finish(nil) }
    let goal = client.coordinator.goal
    if goal != nil, !client.coordinator.lacking.contains(server) { return finish(nil) }
    if let goal, goal.view != least.view { least = goal }
    log(of: source, after: at.number) { [self] base, entries, theirs in
      guard base == at.digest, theirs.number >= seen else { return finish(nil) }
      if let goal, theirs.view != goal.view, !theirs.hasSameRows(as: goal) { return pause() }
      let limit = goal?.number ?? (theirs.number - min(1, theirs.number))
      let known = entries.filter { $0.number <= limit }
      guard let last = known.last else { return conclude(goal) }
      add(.refillChanges(transfer: id, page: page, known)) { [self] in
        self.at = (last.number, last.digest)
        conclude(goal)
      }
    }
  }

  private func conclude(_ goal: Head?) {
    guard let goal, let at, at.number >= max(seen, least.number), at.number <= goal.number else {
      return pause()
    }
    let to = Head(view: goal.view, number: at.number, digest: at.digest)
    let archive = client.world.archive(upTo: at.number, at.digest, source)
    let request = SimulatedRequest.refillEnd(
      transfer: id, pages: page, goal.view, to: to, archive: archive)
    ask(server, request) { [self] reply in
      switch reply {
      case .namespace(.installed(let head)): finish(head)
      case .namespace(.refused): pause()
      case .namespace(.behind) where isOwn: copyAll()
      default: finish(nil)
      }
    }
  }

  private func pause() { client.later(1_000) { [self] in complete() } }

  private func finish(_ head: Head?) {
    guard !hasEnded else { return }
    hasEnded = true
    end(head)
  }

  // MARK: Asking

  private func log(
    of server: ServerIndex, after number: UInt64,
    _ answer: @escaping (RowDigest?, [LogEntry], Head) -> Void
  ) {
    ask(server, .namespace(.log(after: number), SimulatedParts())) { [self] reply in
      guard case .namespace(.log(let base, let entries, let head)) = reply else {
        return finish(nil)
      }
      answer(base, entries, head)
    }
  }

  /// Asks, and ends the transfer if no answer comes for long.
  private func ask(
    _ server: ServerIndex, _ request: SimulatedRequest,
    _ answer: @escaping (SimulatedReply?) -> Void
  ) {
    step += 1
    let asked = step
    client.call(server, request) { [self] reply in
      guard step == asked, !hasEnded else { return }
      step += 1
      answer(reply)
    }
    client.later(30_000) { [self] in if step == asked { finish(nil) } }
  }
}
