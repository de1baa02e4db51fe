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
      case .ping: return .pong(state.replica.head)
      case .query(let queries):
        guard queries.count <= Limits.queries else {
          return .failed(DFSError(.invalidArgument, "\(queries.count) queries at once"))
        }
        return .query(queries.map { state.table.answer($0) }, head: state.replica.head)
      case .namespace(.log(let after), _, _, _): return .namespace(state.logReply(after: after))
      case .namespace(let request, _, _, _):
        if let refusal = state.refusal {
          switch request {
          case .apply, .install: return .failed(refusal)
          default: break
          }
        }
        return .namespace(state.perform(request, from: client))
      case .refillBegin(let view, let own): return state.beginTransfer(view, own)
      case .refillRows(let rows):
        state.transferPages += 1
        for row in rows { state.stage?.put(row, under: row.key) }
        return .done
      case .refillChanges(let entries):
        for entry in entries { state.stage?.perform(entry.change.writes, number: entry.number) }
        return .done
      case .refillEnd(let view, let head): return state.endTransfer(view, head)
      default: return .failed(DFSError(.unsupported, "\(request)"))
      }
    }
  }
}

extension MemoryServer.State {
  fileprivate mutating func perform(
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

  fileprivate func logReply(after: UInt64) -> NamespaceReply {
    let entries = log.filter { $0.number > after }
    if after == replica.head.number {
      return .log(base: table.digest, entries: [], head: replica.head)
    }
    let base = after == 0 ? RowDigest.empty : log.first { $0.number == after }?.digest
    return .log(
      base: entries.first.map { $0.number == after + 1 } ?? (after > 0) ? base : nil,
      entries: Array(entries.prefix(50)), head: replica.head)
  }

  fileprivate mutating func beginTransfer(_ view: View, _ own: OwnRows?) -> Reply {
    if let reply = replica.refusalOfTransfer(view) { return .namespace(reply) }
    var stage = RowTable()
    if let own {
      guard replica.head.hasSameRows(as: own.head) else {
        return .namespace(.behind(replica.head))
      }
      stage = table
      stage.perform(own.without.map { RowWrite($0, nil) }, number: 0)
    }
    stage.pageRows = table.pageRows
    self.stage = stage
    return .done
  }

  fileprivate mutating func endTransfer(_ view: View, _ head: Head) -> Reply {
    if let reply = replica.refusalOfTransfer(view) { return .namespace(reply) }
    guard let stage, stage.digest == head.digest else {
      return .namespace(.behind(replica.head))
    }
    table = stage
    self.stage = nil
    log = []
    replica = Replica(
      promised: view, head: Head(view: view, number: head.number, digest: head.digest))
    for watcher in watchers.values { watcher(nil, replica.head) }
    return .namespace(.installed(replica.head))
  }
}
