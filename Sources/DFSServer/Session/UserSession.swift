internal import DFSCore
internal import DFSReplication
internal import DFSStore
internal import DFSWire
internal import NIOCore

/// What one logged-in connection may do: everything in its user's store and nothing elsewhere.
struct UserSession: Sendable {
  let store: UserStore
  let session: SessionID
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
      case .success(let reply): self.init(reply: .namespace(reply))
      case .failure(let error): self.init(reply: .failed(error))
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
  /// - Parameter done: called once, on a thread of the store.
  /// - Returns: false if it is no such request.
  func performAtOnce(_ request: Request, _ done: @escaping @Sendable (Answer) -> Void) -> Bool {
    switch request {
    case .query(let queries):
      store.query(queries) { result in
        done(Self.answer(result.map { .query($0.answers, head: $0.head) }))
      }
    case .getSmallParts(let ids):
      store.smallParts(ids) { done(Self.answer($0.map { .smallParts($0) })) }
    default:
      // `answer` has every kind.
      return false
    }
    return true
  }

  private static func answer(_ result: Result<Reply, any Error>) -> Answer {
    switch result {
    case .success(let reply): Answer(reply: reply)
    case .failure(let error): answer(error)
    }
  }

  private static func answer(_ error: any Error) -> Answer {
    let error =
      error as? DFSError ?? DFSError(.inputOutput, "the server failed", cause: error)
    return Answer(reply: .failed(error))
  }

  /// Every kind of request, so that the compiler asks for a new one.
  private func answer(_ request: Request, body: ByteBuffer?) async throws -> Answer {
    switch request {
    case .ping: return Answer(reply: .pong(store.head()))
    case .namespace(let step, let parts, let held, let durable):
      let reply = try await store.namespace(step, parts: parts, held: held, durable: durable)
      return Answer(reply: .namespace(reply))
    case .refillBegin(let view, let own):
      let refusal = try await store.refillBegin(session: session, view, own: own)
      return Answer(reply: refusal.map { .namespace($0) } ?? .done)
    case .refillRows(let rows): try await store.refillRows(session: session, rows)
    case .refillChanges(let entries): try await store.refillChanges(session: session, entries)
    case .refillEnd(let view, let head):
      return Answer(
        reply: .namespace(try await store.refillEnd(session: session, view, to: head)))
    case .putPart(let extent, let durable):
      let bytes = (body ?? ByteBuffer()).readableBytesView
      try await store.putPart(session: session, extent, bytes: bytes, durable: durable)
    case .getPart(let id, let range):
      let (extent, bytes) = try await store.getPart(id, range: range)
      return Answer(reply: .part(extent), body: ByteBuffer(bytes: bytes))
    case .syncParts(let parts): try await store.syncParts(parts)
    case .dropParts(let parts): try await store.dropParts(parts)
    case .copies(let versions): return Answer(reply: .copies(try await store.copies(versions)))
    case .hold(let versions): store.hold(session: session, versions)
    case .release(let versions): store.release(session: session, versions)
    case .space: return Answer(reply: .space(try await store.space()))
    case .wanted(let after, let limit, let claims):
      let (copies, total) = try await store.wanted(
        session: session, after: after, limit: limit, claims: claims)
      return Answer(reply: .wanted(copies, total: total))
    case .health: return Answer(reply: .health(try await health()))
    case .scrub: store.beginScrub()
    case .join(let cluster): try await join(cluster)
    case .hello, .loginBegin, .loginEnd:
      throw DFSError(.protocolViolation, "this connection is logged in already")
    case .query, .getSmallParts:
      throw DFSError(.protocolViolation, "this request is performed at once")
    }
    return Answer(reply: .done)
  }

  private func health() async throws -> HealthReport {
    var report = try await store.health()
    report.software = "dfs \(Release.version)"
    return report
  }
}

/// Requests that must be performed in the order in which they came on their connection.
enum OrderKey: Hashable {
  case namespace
  case part(PartID)
  case holds

  /// Nil where the order does not matter.
  init?(_ request: Request) {
    switch request {
    case .namespace, .refillBegin, .refillRows, .refillChanges, .refillEnd: self = .namespace
    case .putPart(let extent, _): self = .part(extent.id)
    case .hold, .release: self = .holds
    case .hello, .loginBegin, .loginEnd, .ping, .query, .getPart, .getSmallParts, .syncParts,
      .dropParts, .copies, .space, .wanted, .health, .scrub, .join:
      return nil
    }
  }
}
