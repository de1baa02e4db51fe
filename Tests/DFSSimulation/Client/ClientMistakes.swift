internal import DFSCore
internal import DFSWire

/// Mistakes of clients. The client is the one that ships and makes none; so what would come of a mistake is
/// brought about between it and its connections: it is told, or the servers are, what they would come to by it.
struct ClientMistakes {
  private let world: World
  private let mistake: Simulation.Mistake?
  /// What the last answer with rows told.
  private var source: Head?
  /// Rows of files with substitutes, as they were when they were asked for.
  private var substitutes: [InodeID: Row] = [:]

  init(world: World) { (self.world, mistake) = (world, world.mistake) }

  // MARK: What is asked

  /// What the client takes for the answer without asking; nil: it asks.
  func answer(insteadOf request: Request, to server: ServerIndex) -> Reply? {
    switch (mistake, request) {
    case (.retainedIgnoredByViews, .missing(let asked)) where !asked.claims,
      (.smallCopiesNotCompleted, .missing(let asked)) where !asked.claims:
      return Reply.MissingList([], total: 0).reply
    case (.lostCopiesNotCompleted, .copies(let asked)):
      return Reply.CopyList(asked.versions.map { _ in PartIndex.all }).reply
    case (.substituteRemovedTooEarly, .putPart(let put)) where put.durable,
      (.smallCopiesNotCompleted, .putPart(let put)) where !put.durable:
      return skips(put.extent.id, on: server) ? Reply.Done().reply : nil
    case (.settledWithoutCopies, .putPart(let put)) where world.isSettling(put.extent.id.version):
      return Reply.Done().reply
    default: return nil
    }
  }

  /// A copy that a healer brings to a server that is not asked for it yet, or a small one that a change has
  /// left without.
  private func skips(_ id: PartID, on server: ServerIndex) -> Bool {
    let disk = world.servers[server.value].disk
    return mistake == .substituteRemovedTooEarly
      ? isNamed(id.version) && disk.asking(id) == nil : world.contents.small.contains(id.version)
  }

  /// Whether a change has named the version already.
  private func isNamed(_ version: VersionID) -> Bool {
    world.servers.contains { server in
      server.disk.current.contents.contains { $0.content.version == version }
    }
  }

  /// What is sent for a request.
  func sent(_ request: Request) -> Request {
    switch (mistake, request) {
    case (.onlyBasesHeld, .hold(let asked)):
      return .hold(Request.Hold(asked.versions.filter { !world.isOfLayer($0) }))
    case (.settledWithoutCopies, .namespace(let asked)):
      let held = asked.held.filter { !world.isSettling($0.version) }
      return .namespace(
        Request.Namespace(asked.step, parts: asked.parts, held: held, durable: asked.durable))
    default: return sentWithCopies(request)
    }
  }

  private func sentWithCopies(_ request: Request) -> Request {
    guard mistake == .substituteRemovedTooEarly, case .namespace(let asked) = request,
      asked.held.allSatisfy({ isNamed($0.version) })
    else { return request }
    return .namespace(
      Request.Namespace(asked.step, parts: asked.parts, held: [], durable: asked.durable))
  }

  // MARK: What is told

  /// What the client makes of an answer.
  mutating func told(_ reply: Reply, to request: Request, by server: ServerIndex) -> Reply {
    switch reply {
    case .answers(let told):
      source = told.head
      switch mistake {
      case .placedWhateverTheRowSays: return stale(told, request)
      case .layersNotRebalanced: return withoutLayers(told, request)
      default: return reply
      }
    case .missingList(let missing):
      guard mistake == .smallLayersNotCompleted, case .missing(let asked) = request, !asked.claims
      else { return reply }
      let copies = missing.copies.filter { !world.isOfLayer($0.id.version) }
      return Reply.MissingList(copies, total: missing.total).reply
    case .pong(let pong):
      return Reply.Pong(judged(pong.head, of: server)).reply
    default: return reply
    }
  }

  private func judged(_ head: Head, of server: ServerIndex) -> Head {
    guard let source else { return head }
    switch mistake {
    case .readQuorumOfTwo where server.value >= 2: return source
    case .readsIgnoreViews:
      return Head(view: source.view, number: head.number, digest: source.digest)
    default: return head
    }
  }

  private func withoutLayers(_ told: Reply.Answers, _ request: Request) -> Reply {
    guard case .query(let asked) = request else { return told.reply }
    let answers = zip(asked.queries, told.answers).map { query, answer in
      guard case .substitutes = query else { return answer }
      let rows = answer.rows.filter { $0.value.version.map { !world.isOfLayer($0) } ?? true }
      return QueryAnswer(rows: rows, isPartial: answer.isPartial)
    }
    return Reply.Answers(answers, head: told.head).reply
  }

  private mutating func stale(_ told: Reply.Answers, _ request: Request) -> Reply {
    guard case .query(let asked) = request else { return told.reply }
    let answers = zip(asked.queries, told.answers).map { query, answer in
      switch query {
      case .substitutes:
        for row in answer.rows {
          if case .inode(let id) = row.key { substitutes[id] = row }
        }
        return answer
      case .inode(let id):
        guard let old = substitutes[id], let new = answer.rows.first,
          old.value.version == new.value.version
        else { return answer }
        return QueryAnswer(rows: [old], isPartial: answer.isPartial)
      default: return answer
      }
    }
    return Reply.Answers(answers, head: told.head).reply
  }

  /// Whether what a server tells without being asked is not heard.
  func ignoresPush(whileAsking requests: some Sequence<Request>) -> Bool {
    mistake == .cacheIgnoresOvertakingPush
      && requests.contains { if case .query = $0 { true } else { false } }
  }
}
