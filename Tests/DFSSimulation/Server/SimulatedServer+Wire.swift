internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport
internal import DFSWire

/// What a server answers to the messages of clients that run the code that ships.
extension SimulatedServer {
  var isAnswering: Bool { isUp && stillUntil <= world.now }

  func handle(_ request: Request, of session: Int) -> Reply {
    disk.setting.now = world.now
    defer { noteQuarantined() }
    switch request {
    case .ping: return Reply.Pong(head).reply
    case .query(let asked): return answer(asked.queries)
    case .namespace(let asked): return perform(asked)
    case .refillBegin(let asked):
      return wire(transfer(.refillBegin(transfer: session, asked.view, own: asked.own)))
    case .refillRows(let asked):
      return wire(transfer(.refillRows(transfer: session, page: pages(of: session), asked.rows)))
    case .refillChanges(let asked):
      return wire(
        transfer(.refillChanges(transfer: session, page: pages(of: session), asked.entries)))
    case .refillEnd(let asked):
      let archive = world.archive(upTo: asked.to.number, asked.to.digest, index)
      return wire(
        transfer(
          .refillEnd(
            transfer: session, pages: pages(of: session), asked.view, to: asked.to,
            archive: archive)))
    default: return failed(.unsupported, "the simulation has no \(request)")
    }
  }

  private func answer(_ queries: [DFSCore.Query]) -> Reply {
    var rows = QueryableRows(disk.current.rows)
    rows.pageRows = world.settings.refillPage
    return Reply.Answers(queries.map(rows.answer), head: head).reply
  }

  private func perform(_ asked: Request.Namespace) -> Reply {
    let parts = SimulatedParts(
      small: asked.parts.map(\.id), held: asked.held, durable: asked.durable)
    return wire(perform(asked.step, parts))
  }

  /// Pages come in their order on a connection.
  private func pages(of transfer: Int) -> Int { transfers[transfer]?.pages ?? 0 }

  private func wire(_ reply: SimulatedReply) -> Reply {
    switch reply {
    case .namespace(let reply): reply.reply
    case .done: Reply.Done().reply
    default: failed(.noSpace, "the disk of \(index) is full")
    }
  }

  private func failed(_ code: DFSError.Code, _ text: String) -> Reply {
    .failed(Reply.Failed(DFSError(code, text)))
  }
}

extension Request {
  var brief: String {
    switch self {
    case .ping: "ping"
    case .query(let asked): "query \(asked.queries)"
    case .namespace(let asked): asked.step.brief
    case .refillRows(let asked): "\(asked.rows.count) rows of a transfer"
    case .refillChanges(let asked): "changes \(asked.entries.map(\.number)) of a transfer"
    case .refillEnd(let asked): "end of a transfer in \(asked.view.brief) to \(asked.to.brief)"
    case .refillBegin(let asked): "transfer in \(asked.view.brief)"
    default: "\(self)"
    }
  }
}

extension Reply {
  var brief: String {
    switch self {
    case .pong(let pong): pong.head.brief
    case .answers(let told):
      "changes \(told.answers.map { $0.rows.map(\.change) }) at \(told.head.brief)"
    case .namespaceReply(let reply): reply.brief
    case .failed(let failed): "failed: \(failed.error.message)"
    default: "done"
    }
  }
}
