internal import DFSCore
internal import DFSReplication

/// Copies all rows from one server to another in pages, as long as the source stays where it is.
final class SimulatedRefill {
  private let server: ServerIndex
  private let source: ServerIndex
  private let view: View
  private let to: Head
  private let id: Int
  private unowned let client: SimulatedClient
  private var end: ((Head?) -> Void)?
  private var page = 0
  /// Messages answered so far; answers to doubled messages are ignored.
  private var step = 0

  init(
    _ server: ServerIndex, source: ServerIndex, _ view: View, to: Head, client: SimulatedClient
  ) {
    (self.server, self.source, self.view, self.to, self.client) = (server, source, view, to, client)
    client.world.lastRefill += 1
    id = client.world.lastRefill
  }

  func begin(_ end: @escaping (Head?) -> Void) {
    self.end = end
    ask(server, .refillBegin(refill: id, view)) { [self] reply in
      switch reply {
      case .done: read(skip: 0)
      case .namespace(.installed(let head)): finish(head)
      default: finish(nil)
      }
    }
  }

  private func read(skip: Int) {
    ask(source, .everything(skip: skip)) { [self] reply in
      guard case .page(let rows, let isLast, let head, let archive) = reply,
        head.hasSameRows(as: to)
      else { return finish(nil) }
      let request = SimulatedRequest.refillRows(refill: id, page: page, rows, archive: archive)
      ask(server, request) { [self] reply in
        guard case .done = reply else { return finish(nil) }
        page += 1
        isLast ? complete() : read(skip: skip + rows.count)
      }
    }
  }

  private func complete() {
    ask(server, .refillEnd(refill: id, pages: page, view, to: to)) { [self] reply in
      if case .namespace(.installed(let head)) = reply { finish(head) } else { finish(nil) }
    }
  }

  private func finish(_ head: Head?) {
    let end = end
    self.end = nil
    end?(head)
  }

  /// Asks, and ends the refill if no answer comes for long.
  private func ask(
    _ server: ServerIndex, _ request: SimulatedRequest,
    _ answer: @escaping (SimulatedReply?) -> Void
  ) {
    step += 1
    let asked = step
    client.call(server, request) { [self] reply in
      guard step == asked, end != nil else { return }
      step += 1
      answer(reply)
    }
    client.later(30_000) { [self] in if step == asked { finish(nil) } }
  }
}
