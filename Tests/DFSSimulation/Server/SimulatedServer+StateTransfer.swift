internal import DFSCore
internal import DFSReplication

/// Rows that are to replace those of a server.
extension SimulatedServer {
  struct Staged {
    var rows: [RowKey: Row] = [:]
    var pages = 0

    mutating func perform(_ entry: LogEntry) {
      for write in entry.change.writes {
        rows[write.key] = write.value.map {
          Row(key: write.key, change: entry.number, value: $0)
        }
      }
    }
  }

  func transfer(_ request: SimulatedRequest) -> SimulatedReply {
    switch request {
    case .everything(let last): return page(after: last)
    case .refillBegin(let transfer, let view, let own): return begin(transfer, view, own)
    case .refillRows(let transfer, let page, let rows):
      return add(to: transfer, page) { staged in for row in rows { staged.rows[row.key] = row } }
    case .refillChanges(let transfer, let page, let entries):
      return add(to: transfer, page) { staged in for entry in entries { staged.perform(entry) } }
    case .refillEnd(let transfer, let pages, let view, let to, let archive):
      return disk.isFull ? .failed : end(transfer, pages, view, to, archive)
    default: return .failed
    }
  }

  private func page(after last: RowKey?) -> SimulatedReply {
    let rows = disk.current.rows.values.sorted { $0.key.order < $1.key.order }
    let rest = rows.drop { row in last.map { row.key.order <= $0.order } ?? false }
    let page = rest.prefix(world.settings.refillPage)
    return .page(Array(page), isLast: page.count == rest.count, head)
  }

  private func begin(_ transfer: Int, _ view: View, _ own: OwnRows?) -> SimulatedReply {
    if let refusal = disk.current.replica.refusalOfTransfer(view) { return .namespace(refusal) }
    var staged = Staged()
    if let own {
      guard head.hasSameRows(as: own.head) else { return .namespace(.behind(head)) }
      staged.rows = disk.current.rows
      for key in own.without { staged.rows[key] = nil }
    }
    transfers[transfer] = staged
    return .done
  }

  private func add(
    to transfer: Int, _ page: Int, _ body: (inout Staged) -> Void
  ) -> SimulatedReply {
    guard !disk.isFull, var staged = transfers[transfer], staged.pages == page else {
      return .failed
    }
    body(&staged)
    staged.pages += 1
    transfers[transfer] = staged
    return .done
  }

  private func end(
    _ transfer: Int, _ pages: Int, _ view: View, _ to: Head, _ archive: [Change]
  ) -> SimulatedReply {
    if let refusal = disk.current.replica.refusalOfTransfer(view) { return .namespace(refusal) }
    guard let staged = transfers.removeValue(forKey: transfer), staged.pages == pages,
      let head = disk.transfer(view, rows: Array(staged.rows.values), to: to, archive: archive)
    else { return .namespace(.behind(head)) }
    world.counts.transfers += 1
    changed(nil, author: nil)
    return .namespace(.installed(head))
  }
}

extension World {
  /// For the checks: the changes up to one, of a server that has it.
  func archive(
    upTo number: UInt64, _ digest: RowDigest, _ source: ServerIndex
  ) -> [Change] {
    let states = servers.map(\.disk.current)
    let state = states.first { $0.digest(after: number) == digest } ?? states[source.value]
    return Array(state.archive.prefix(Int(number)))
  }
}

extension RowKey {
  /// The order of a transfer.
  var order: String {
    switch self {
    case .inode(let id): "1 \(id.value.bigEndianBytes.hexadecimal)"
    case .entry(let parent, let name): "2 \(parent.value.bigEndianBytes.hexadecimal) \(name)"
    case .attribute(let id, let name): "3 \(id.value.bigEndianBytes.hexadecimal) \(name)"
    }
  }
}
