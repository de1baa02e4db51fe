internal import DFSCore
internal import DFSReplication
internal import DFSWire
internal import NIOCore

/// One read: questions to the reachable servers until their heads prove that the rows of one of them
/// are the truth (`Quorum.judge`).
///
/// One server is asked for the rows, two others for their heads, and the fourth too if those do not prove it or
/// one of them is silent (`ServerPool.reserveAfter`). If the rows do not come within `hedge`, the next server is
/// asked for them too, and so on. What was learnt stays for the next try.
struct QuorumRead {
  struct Rows: Sendable {
    let answers: [QueryAnswer]
    let head: Head
  }

  enum Outcome {
    case truth(Rows)
    /// The answers disagree, or too few came.
    case undecided
  }

  fileprivate enum Event: Sendable {
    case rows(ServerIndex, Rows)
    case head(ServerIndex, Head)
    case failed(ServerIndex, rows: DFSError?)
    /// A server is silent.
    case reserve
    case hedge
  }

  static let queryTimeout = Duration.seconds(10)

  let servers: ServerPool
  let queries: [Query]
  let hedge: Duration
  /// All heads that each server told since the read began.
  private var heads: [ServerIndex: [Head]] = [:]
  private var rows: [Rows] = []
  /// A server said that such a question has no answer.
  private(set) var refusal: DFSError?
  /// Servers that were asked for the rows in this attempt, lately, and have not answered.
  private var sourcesAsked: ServerSet = []

  init(servers: ServerPool, queries: [Query], hedge: Duration) {
    self.servers = servers
    self.queries = queries
    self.hedge = hedge
  }

  /// The rows of the server that is farthest, of those that answered with rows.
  var newest: Rows? { rows.max { $0.head < $1.head } }

  /// Asks servers once, as few as prove something.
  mutating func attempt() async -> Outcome {
    var order = servers.byPreference(servers.reachable)
    // A server that was behind the others is no good source, nor one that tells what no other does.
    order.sort { rank($0) > rank($1) }
    guard !order.isEmpty else { return .undecided }
    let mailbox = Mailbox<Event>()
    defer { mailbox.close() }
    var waiting: [ServerIndex: Int] = [:]
    var sources = order[...]
    sourcesAsked = []
    let source = sources.removeFirst()
    expectRows(of: source, &waiting)
    let first = sources.prefix(Limits.quorum - 1)
    var reserve = sources.dropFirst(first.count)
    for server in first { waiting[server, default: 0] += 1 }
    let asking = asking(mailbox)
    asking.begin(reserve: !reserve.isEmpty) {
      asking.forRows(source)
      for server in first { asking.forHead(server) }
    }
    while true {
      // Fewer answers than a quorum's prove nothing.
      let answered = order.count - reserve.count - waiting.count
      let events = await Self.take(
        min(waiting.count, max(1, Limits.quorum - answered)), from: mailbox)
      for event in events { note(event, &waiting) }
      if refusal != nil || Task.isCancelled { return .undecided }
      let readings = judge(silent: waiting.count + reserve.count)
      if let found = readings.first(where: { $0.reading == .truth }) { return .truth(found.rows) }
      // Rows of an attempt before may never be proved, while those that were asked for now will be.
      if sourcesAsked.isEmpty, !readings.isEmpty,
        readings.allSatisfy({ $0.reading == .undecided })
      {
        return .undecided
      }
      if events.contains(where: needsAnotherSource), let next = sources.popFirst() {
        expectRows(of: next, &waiting)
        asking.begin(hedged: false) { asking.forRows(next) }
      }
      if !reserve.isEmpty, waiting.isEmpty || events.contains(where: \.needsReserve) {
        let rest = reserve
        reserve = []
        for server in rest { waiting[server, default: 0] += 1 }
        asking.begin(hedged: false) { for server in rest { asking.forHead(server) } }
      }
      if waiting.isEmpty { return .undecided }
    }
  }

  /// How good a source a server is by the heads that were told last: how many told the same, then how far it is.
  private func rank(_ server: ServerIndex) -> (Int, View, UInt64) {
    let head = heads[server]?.last ?? .blank
    return (heads.values.count { $0.last == head }, head.view, head.number)
  }

  /// Asks every reachable server for the rows: for when so few are there that nothing is proved.
  mutating func attemptAll() async {
    let mailbox = Mailbox<Event>()
    defer { mailbox.close() }
    var waiting: [ServerIndex: Int] = [:]
    let asked = servers.reachable.servers
    for server in asked { expectRows(of: server, &waiting) }
    let asking = asking(mailbox)
    asking.begin { for server in asked { asking.forRows(server) } }
    while !waiting.isEmpty {
      for event in await Self.take(waiting.count, from: mailbox) { note(event, &waiting) }
      if Task.isCancelled { return }
    }
  }

  /// Also returns if the task is cancelled.
  private static func take(_ least: Int, from mailbox: Mailbox<Event>) async -> [Event] {
    await withTaskCancellationHandler {
      await mailbox.take(atLeast: least)
    } onCancel: {
      mailbox.put(.hedge, presses: true)
    }
  }

  private func needsAnotherSource(_ event: Event) -> Bool {
    switch event {
    case .hedge: true
    case .failed: sourcesAsked.isEmpty
    case .rows, .head, .reserve: false
    }
  }

  private func judge(silent: Int) -> [(rows: Rows, reading: Quorum.Reading)] {
    rows.map { ($0, Quorum.judge(source: $0.head, heads: heads, silent: silent)) }
  }

  private mutating func note(_ event: Event, _ waiting: inout [ServerIndex: Int]) {
    let server: ServerIndex
    switch event {
    case .rows(let source, let found):
      server = source
      sourcesAsked.remove(source)
      rows.append(found)
      heads[server, default: []].append(found.head)
    case .head(let source, let head):
      server = source
      heads[server, default: []].append(head)
    case .failed(let source, let ofRows):
      server = source
      if let ofRows {
        sourcesAsked.remove(source)
        if ofRows.code == .invalidArgument { refusal = ofRows }
      }
    case .reserve: return
    case .hedge:
      sourcesAsked = []
      // A server that is not asked any more is not waited for.
      let reachable = servers.reachable
      return waiting = waiting.filter { reachable.contains($0.key) }
    }
    let rest = (waiting[server] ?? 1) - 1
    waiting[server] = rest > 0 ? rest : nil
  }

  private mutating func expectRows(
    of server: ServerIndex, _ waiting: inout [ServerIndex: Int]
  ) {
    waiting[server, default: 0] += 1
    sourcesAsked.insert(server)
  }

  private func asking(_ mailbox: Mailbox<Event>) -> Asking {
    Asking(servers: servers, queries: queries, hedge: hedge, mailbox: mailbox)
  }
}

extension QuorumRead {
  /// Asks servers, on their event loop, so that asking all of them wakes it once.
  private struct Asking: Sendable {
    let servers: ServerPool
    let queries: [Query]
    let hedge: Duration
    let mailbox: Mailbox<Event>

    /// - Parameters:
    ///   - hedged: from now on, tells each time that `hedge` is over.
    ///   - reserve: tells when it is time to ask those too that were left out.
    func begin(
      hedged: Bool = true, reserve: Bool = false, _ body: @escaping @Sendable () -> Void
    ) {
      if reserve { servers.reserve.callBack { mailbox.put(.reserve, presses: true) } }
      servers.loop.execute {
        if hedged { waitForHedge() }
        body()
      }
    }

    private func waitForHedge() {
      servers.loop.scheduleTask(in: TimeAmount(hedge)) {
        if mailbox.put(.hedge, presses: true) { waitForHedge() }
      }
    }

    func forRows(_ server: ServerIndex) {
      servers.query(queries, of: server, timeout: QuorumRead.queryTimeout) { result in
        switch result {
        case .success(let rows): mailbox.put(.rows(server, rows))
        case .failure(let error): mailbox.put(.failed(server, rows: error), presses: true)
        }
      }
    }

    func forHead(_ server: ServerIndex) {
      servers.ping(server) { head in
        mailbox.put(
          head.map { .head(server, $0) } ?? .failed(server, rows: nil), presses: head == nil)
      }
    }
  }
}

extension QuorumRead.Event {
  /// Whether those are asked too that were left out.
  fileprivate var needsReserve: Bool {
    switch self {
    case .reserve, .failed, .hedge: true
    case .rows, .head: false
    }
  }
}
