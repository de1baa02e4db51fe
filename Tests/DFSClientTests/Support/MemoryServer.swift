import DFSCore
import DFSReplication
import DFSWire
import Synchronization

@testable import DFSClient

/// A server in memory: the decisions that ship (`Replica`), rows and a log, and pushes to whoever
/// watches.
final class MemoryServer: Sendable {
  typealias Watcher = @Sendable (_ keys: [RowKey]?, _ head: Head) -> Void

  fileprivate struct State {
    var replica = Replica()
    var table = RowTable()
    var log: [LogEntry] = []
    var stage: RowTable?
    /// Pages of rows that transfers brought.
    var transferPages = 0
    var watchers: [ClientID: Watcher] = [:]
    /// Refuse what has to be written with this.
    var refusal: DFSError?
  }

  private let state = Mutex(State())

  var head: Head { state.withLock { $0.replica.head } }
  var rows: [RowKey: Row] { state.withLock { $0.table.rows } }
  var isBeingRefilled: Bool { state.withLock { $0.stage != nil } }
  var transferPages: Int { state.withLock { $0.transferPages } }

  /// A page of rows in an answer.
  /// The log begins with the last change.
  func trimLog() { state.withLock { $0.log = Array($0.log.suffix(1)) } }
  func limit(pageRows: Int) { state.withLock { $0.table.pageRows = pageRows } }
  func refuse(with error: DFSError?) { state.withLock { $0.refusal = error } }
  /// The disk was replaced.
  func becomeBlank() {
    state.withLock {
      $0.replica = Replica()
      $0.table = RowTable()
      $0.log = []
    }
  }

  var entries: [LogEntry] { state.withLock { $0.log } }

  /// A hostile server: says what it likes.
  func pretend(_ head: Head, rows: [RowKey: Row], log: [LogEntry]) {
    state.withLock { state in
      let pageRows = state.table.pageRows
      state.table = RowTable()
      state.table.pageRows = pageRows
      for (key, row) in rows { state.table.put(row, under: key) }
      state.log = log
      let head = Head(view: head.view, number: head.number, digest: state.table.digest)
      state.replica = Replica(promised: head.view, head: head)
    }
  }

  /// Answers every question for all rows with the first ones.
  func repeatPages() { state.withLock { $0.table.repeatsPages = true } }

  func watch(_ client: ClientID, _ watcher: Watcher?) {
    state.withLock { $0.watchers[client] = watcher }
  }

  func handle(_ request: Request, from client: ClientID) -> Reply {
    state.withLock { state in
      switch request {
      case .ping: return Reply.Pong(state.replica.head).reply
      case .query(let asked):
        guard asked.queries.count <= Limits.queries else {
          return .failed(
            .init(DFSError(.invalidArgument, "\(asked.queries.count) queries at once")))
        }
        let answers = asked.queries.map { state.table.answer($0) }
        return Reply.Answers(answers, head: state.replica.head).reply
      case .namespace(let asked): return state.perform(asked.step, from: client)
      case .refillBegin(let begin): return state.beginTransfer(begin.view, begin.own).reply
      case .refillRows(let page):
        state.transferPages += 1
        for row in page.rows { state.stage?.put(row, under: row.key) }
        return Reply.Done().reply
      case .refillChanges(let page):
        for entry in page.entries {
          state.stage?.perform(entry.change.writes, number: entry.number)
        }
        return Reply.Done().reply
      case .refillEnd(let end): return state.endTransfer(end.view, end.to).reply
      default: return .failed(.init(DFSError(.unsupported, "\(request)")))
      }
    }
  }
}

extension MemoryServer.State {
  fileprivate mutating func perform(_ step: NamespaceRequest, from client: ClientID) -> Reply {
    switch step {
    case .log(let after): return logReply(after: after).reply
    case .apply, .install:
      if let refusal { return .failed(.init(refusal)) }
    case .prepare, .head: break
    }
    return decide(step, from: client).reply
  }

  private mutating func decide(
    _ request: NamespaceRequest, from client: ClientID
  ) -> NamespaceReply {
    switch replica.decide(request, logged: { number in log.first { $0.number == number } }) {
    case .answer(let reply): return reply
    case .promise(let view):
      replica.promised = view
      return .promised(replica.head)
    case .append(let number, let change):
      apply(change, number: number, view: replica.head.view, from: client)
      return .applied(replica.head)
    case .install(let view, let changes, let to):
      let before = self
      for change in changes {
        apply(change, number: replica.head.number + 1, view: view, from: client)
      }
      guard table.digest == to.digest else {
        self = before
        return .behind(replica.head)
      }
      replica.promised = view
      replica.head = Head(view: view, number: to.number, digest: table.digest)
      return .installed(replica.head)
    }
  }

  private mutating func apply(_ change: Change, number: UInt64, view: View, from: ClientID) {
    table.perform(change.writes, number: number)
    log.append(LogEntry(number: number, change: change, digest: table.digest))
    replica.head = Head(view: view, number: number, digest: table.digest)
    for (client, watcher) in watchers where client != change.id.client {
      watcher(change.writes.map(\.key), replica.head)
    }
  }

  private func logReply(after: UInt64) -> NamespaceReply {
    let entries = log.filter { $0.number > after }
    if after == replica.head.number {
      return .log(base: table.digest, entries: [], head: replica.head)
    }
    let base = after == 0 ? RowDigest.empty : log.first { $0.number == after }?.digest
    return .log(
      base: entries.first.map { $0.number == after + 1 } ?? (after > 0) ? base : nil,
      entries: Array(entries.prefix(50)), head: replica.head)
  }

  fileprivate mutating func beginTransfer(
    _ view: View, _ own: OwnRows?
  ) -> Request.RefillBegin.Answer {
    if let reply = replica.refusalOfTransfer(view) { return .refused(reply) }
    var stage = RowTable()
    if let own {
      guard replica.head.hasSameRows(as: own.head) else {
        return .refused(.behind(replica.head))
      }
      stage = table
      stage.perform(own.without.map { RowWrite($0, nil) }, number: 0)
    }
    stage.pageRows = table.pageRows
    self.stage = stage
    return .begun
  }

  fileprivate mutating func endTransfer(_ view: View, _ head: Head) -> NamespaceReply {
    if let reply = replica.refusalOfTransfer(view) { return reply }
    guard let stage, stage.digest == head.digest else { return .behind(replica.head) }
    table = stage
    self.stage = nil
    log = []
    replica = Replica(
      promised: view, head: Head(view: view, number: head.number, digest: head.digest))
    for watcher in watchers.values { watcher(nil, replica.head) }
    return .installed(replica.head)
  }
}
