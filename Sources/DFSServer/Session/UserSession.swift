internal import DFSCore
internal import DFSReplication
internal import DFSStore
internal import DFSWire
internal import NIOCore

/// What one logged-in connection may do: everything in its user's store and nothing elsewhere.
struct UserSession: Sendable {
  let store: UserStore
  let session: SessionID
  let load: UserLoad
  /// Makes the server one of a cluster.
  let join: @Sendable (ClusterID) async throws -> Void

  struct Answer: Sendable {
    let reply: Reply
    let body: ByteBuffer?
    /// The reply as it is sent, where that is known already.
    private(set) var header: [UInt8]?

    /// With its header, where making it takes too long for an event loop.
    func encoded(id: UInt64) -> Answer {
      guard reply.isLong else { return self }
      var answer = self
      answer.header = Frame(.reply(id: id, reply)).encodedAhead
      return answer
    }

    /// About how many bytes it takes until it is sent; nil: as much as its request said.
    var weight: Int? { header.map { 256 + 3 * $0.count } }

    init(reply: Reply, body: ByteBuffer? = nil) {
      self.reply = reply
      self.body = body
    }

    init(_ result: Result<NamespaceReply, DFSError>) {
      switch result {
      case .success(let reply): self.init(reply: reply.reply)
      case .failure(let error): self.init(reply: .failed(Reply.Failed(error)))
      }
    }
  }

  func perform(_ request: Request, body: ByteBuffer?) async -> Answer {
    do {
      return try await answer(request, body: body)
    } catch {
      return Self.answer(error)
    }
  }

  /// Performs a request that needs nothing but one thread of the store, without a task.
  /// - Parameter done: called once, on a thread of the store or this one.
  /// - Returns: false if it is no such request.
  func performAtOnce(_ request: Request, _ done: @escaping @Sendable (Answer) -> Void) -> Bool {
    if case .query(let query) = request {
      store.query(query.queries) { result in
        done(Self.answer(to: query, result.map { Reply.Answers($0.answers, head: $0.head) }))
      }
      return true
    }
    if case .getSmallParts(let asked) = request {
      store.smallParts(asked.parts) { [store] in
        done(Self.answer(to: asked, $0.map { Reply.SmallParts($0, head: store.head()) }))
      }
      return true
    }
    if case .getBytes(let get) = request {
      store.partBytes(get.id, range: get.range) {
        done(Self.answer(to: get, $0.map { Reply.PartBytes($0) }))
      }
      return true
    }
    return false
  }

  private static func answer<Message: RequestMessage>(
    to message: Message, _ result: Result<Message.Answer, any Error>
  ) -> Answer {
    switch result {
    case .success(let value): Answer(reply: value.reply)
    case .failure(let error): answer(error)
    }
  }

  static func answer(_ error: any Error) -> Answer {
    let error =
      error as? DFSError ?? DFSError(.inputOutput, "the server failed", cause: error)
    return Answer(reply: .failed(Reply.Failed(error)))
  }

  /// Every kind of request, so that the compiler asks for a new one.
  private func answer(_ request: Request, body: ByteBuffer?) async throws -> Answer {
    switch request {
    case .ping(let ping): return answer(ping, Reply.Pong(store.head()))
    case .namespace(let asked):
      let reply = try await store.namespace(
        asked.step, parts: asked.parts, held: asked.held, durable: asked.durable, session: session)
      return answer(asked, reply)
    case .refillBegin(let begin):
      let refusal = try await store.refillBegin(session: session, begin.view, own: begin.own)
      return answer(begin, refusal.map { .refused($0) } ?? .begun)
    case .refillRows(let page):
      return answer(page, try await store.refillRows(session: session, page.rows))
    case .refillChanges(let page):
      return answer(page, try await store.refillChanges(session: session, page.entries))
    case .refillEnd(let end):
      return answer(end, try await store.refillEnd(session: session, end.view, to: end.to))
    case .putPart(let put):
      let bytes = (body ?? ByteBuffer()).readableBytesView
      try await store.putPart(session: session, put.extent, bytes: bytes, durable: put.durable)
      return answer(put, ())
    case .getPart(let get):
      let (extent, bytes) = try await store.getPart(get.id, range: get.range)
      return answer(get, extent, body: ByteBuffer(bytes: bytes))
    case .syncParts(let asked): return answer(asked, try await store.syncParts(asked.parts))
    case .dropParts(let asked): return answer(asked, try await store.dropParts(asked.parts))
    case .copies(let asked):
      return answer(asked, Reply.CopyList(try await store.copies(asked.versions)))
    case .hold(let asked): return answer(asked, store.pin(session: session, asked.versions))
    case .release(let asked): return answer(asked, store.unpin(session: session, asked.versions))
    case .space(let asked): return answer(asked, try await store.space())
    case .missing(let asked):
      let (copies, total) = try await store.missing(
        session: session, after: asked.after, limit: asked.limit, claims: asked.claims)
      return answer(asked, Reply.MissingList(copies, total: total))
    case .health(let asked): return answer(asked, try await health())
    case .scrub(let asked): return answer(asked, store.beginScrub())
    case .join(let asked): return answer(asked, try await join(asked.cluster))
    case .hello, .loginBegin, .loginEnd:
      throw DFSError(.protocolViolation, "this connection is logged in already")
    case .query, .getSmallParts, .getBytes, .lease:
      throw DFSError(.protocolViolation, "this request is performed at once")
    }
  }

  /// The request says which answer fits.
  private func answer<Message: RequestMessage>(
    _ request: Message, _ value: Message.Answer, body: ByteBuffer? = nil
  ) -> Answer {
    Answer(reply: value.reply, body: body)
  }

  private func answer<Message: RequestMessage>(
    _ request: Message, _ done: Void
  ) -> Answer where Message.Answer == Reply.Done {
    Answer(reply: Reply.Done().reply)
  }

  private func health() async throws -> HealthReport {
    var report = try await store.health()
    report.software = "dfs \(Release.version)"
    report.requests = load.requests
    return report
  }
}
