internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport
internal import DFSWire
internal import NIOCore

/// What a server answers to messages.
extension SimulatedServer {
  var isAnswering: Bool { isUp && stillUntil <= world.now }

  /// - Parameter done: called with the answer, now or when it may be given; never if the server stops before.
  func handle(
    _ request: Request, _ body: ByteBuffer?, of session: Int, by client: ClientID,
    _ done: @escaping ((reply: Reply, body: ByteBuffer?)) -> Void
  ) {
    disk.setting.now = world.now
    if case .lease(let lease) = request {
      return leases.perform(lease, on: session, by: client) { [self] in
        done((Reply.Pong(shownHead).reply, nil))
      }
    }
    caller = session
    let answered =
      answerAboutCopies(request, body, of: session) ?? (answer(request, of: session), nil)
    caller = nil
    noteQuarantined()
    if endIfFailed() { return }
    leases.answer(request, on: session) { done(answered) }
  }

  private func answer(_ request: Request, of session: Int) -> Reply {
    switch request {
    case .ping:
      return Reply.Pong(world.mistake == .queriesShowEarly ? head : shownHead).reply
    case .query(let asked): return answer(asked.queries)
    case .namespace(let asked): return perform(asked)
    case .refillBegin(let asked): return begin(asked, of: session)
    case .refillRows(let asked):
      return add(to: session) { staged in for row in asked.rows { staged.rows[row.key] = row } }
    case .refillChanges(let asked):
      return add(to: session) { staged in
        for entry in asked.entries { staged.perform(entry) }
      }
    case .refillEnd(let asked): return end(asked, of: session)
    default: return failed(.unsupported, "the simulation has no \(request)")
    }
  }

  private func answer(_ queries: [DFSCore.Query]) -> Reply {
    var rows = QueryableRows(disk.current.rows)
    rows.pageRows = world.settings.refillPage
    return Reply.Answers(queries.map(rows.answer), head: head).reply
  }

  private func perform(_ asked: Request.Namespace) -> Reply {
    for part in asked.parts {
      if let problem = world.contents.noteSmall(part) { world.fail(problem) }
    }
    let parts = SimulatedParts(
      small: asked.parts.map(\.id), held: asked.held, durable: asked.durable)
    return perform(asked.step, parts)?.reply ?? full
  }

  var full: Reply { failed(.noSpace, "the disk of \(index) is full") }

  func failed(_ code: DFSError.Code, _ text: String) -> Reply {
    .failed(Reply.Failed(DFSError(code, text)))
  }
}

extension Request {
  var brief: String {
    switch self {
    case .ping: "ping"
    case .lease(let lease): "lease \(lease.step), \(lease.pushes) pushes"
    case .query(let asked): "query \(asked.queries)"
    case .namespace(let asked): asked.step.brief
    case .refillRows(let asked): "\(asked.rows.count) rows of a transfer"
    case .refillChanges(let asked): "changes \(asked.entries.map(\.number)) of a transfer"
    case .refillEnd(let asked): "end of a transfer in \(asked.view.brief) to \(asked.to.brief)"
    case .refillBegin(let asked): "transfer in \(asked.view.brief)"
    case .putPart(let put): "put \(put.extent.id.brief)\(put.durable ? ", durable" : "")"
    case .getPart(let get): "get \(get.id.brief), \(get.range)"
    case .getSmallParts(let get): "get \(get.parts.map(\.brief))"
    case .hold(let asked): "hold \(asked.versions.map(\.brief))"
    case .release(let asked): "release \(asked.versions.map(\.brief))"
    case .dropParts(let asked): "drop \(asked.parts.map(\.brief))"
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
    case .smallParts(let small): "\(small.parts.map(\.id.brief))"
    case .missingList(let missing): "missing \(missing.copies.map(\.id.brief))"
    case .failed(let failed): "failed: \(failed.error.message)"
    default: "done"
    }
  }
}
