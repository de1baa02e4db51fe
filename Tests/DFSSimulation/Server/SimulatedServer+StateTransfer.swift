internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// Rows that are to replace those of a server.
extension SimulatedServer {
  struct Staged {
    var rows: [RowKey: Row] = [:]

    mutating func perform(_ entry: LogEntry) {
      for write in entry.change.writes {
        rows[write.key] = write.value.map {
          Row(key: write.key, change: entry.number, value: $0)
        }
      }
    }
  }

  func begin(_ asked: Request.RefillBegin, of session: Int) -> Reply {
    if let refusal = disk.current.replica.refusalOfTransfer(asked.view) { return refusal.reply }
    var staged = Staged()
    if let own = asked.own {
      guard head.hasSameRows(as: own.head) else { return NamespaceReply.behind(head).reply }
      staged.rows = disk.current.rows
      for key in own.without { staged.rows[key] = nil }
    }
    transfers[session] = staged
    return Reply.Done().reply
  }

  func add(to session: Int, _ body: (inout Staged) -> Void) -> Reply {
    guard !disk.isFull, var staged = transfers[session] else { return full }
    body(&staged)
    transfers[session] = staged
    return Reply.Done().reply
  }

  func end(_ asked: Request.RefillEnd, of session: Int) -> Reply {
    if disk.isFull { return full }
    if let refusal = disk.current.replica.refusalOfTransfer(asked.view) { return refusal.reply }
    let archive = world.archive(upTo: asked.to.number, asked.to.digest, index)
    guard let staged = transfers.removeValue(forKey: session),
      let head = disk.transfer(
        asked.view, rows: Array(staged.rows.values), to: asked.to, archive: archive)
    else { return NamespaceReply.behind(head).reply }
    world.counts.transfers += 1
    changed(nil, author: nil)
    return NamespaceReply.installed(head).reply
  }
}

extension World {
  /// For the checks: the changes up to one, of a server that has it.
  fileprivate func archive(
    upTo number: UInt64, _ digest: RowDigest, _ source: ServerIndex
  ) -> [Change] {
    let states = servers.map(\.disk.current)
    let state = states.first { $0.digest(after: number) == digest } ?? states[source.value]
    return Array(state.archive.prefix(Int(number)))
  }
}
