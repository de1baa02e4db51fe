internal import DFSCore

/// Which copy of a part is asked, and when another one: the first, another one as soon as one fails
/// or takes long, and a verdict when all have failed. A pure value; `PartFetch` performs it.
///
/// Invariant: every holder is asked at most once.
struct FetchPlan {
  enum Step: Equatable {
    case ask(ServerIndex)
    /// Answers are under way.
    case wait
    case fail(DFSError)
  }

  let id: PartID
  /// Holders that were not reachable at the beginning, and why.
  private let absent: [(server: ServerIndex, problem: DFSError?)]
  private var candidates: ArraySlice<ServerIndex>
  private var asked: Set<ServerIndex> = []
  private var failures: [(server: ServerIndex, error: DFSError)] = []

  /// - Parameter candidates: the reachable holders, the best first.
  init(
    id: PartID, candidates: [ServerIndex], absent: [(server: ServerIndex, problem: DFSError?)]
  ) {
    self.id = id
    self.candidates = candidates[...]
    self.absent = absent
  }

  mutating func begin() -> Step { next() }

  /// Those who were asked take long.
  mutating func overdue() -> Step {
    guard !candidates.isEmpty else { return .wait }
    return next()
  }

  mutating func failed(_ server: ServerIndex, _ error: DFSError) -> Step {
    guard asked.remove(server) != nil else { return .wait }
    failures.append((server, error))
    return next()
  }

  private mutating func next() -> Step {
    if let server = candidates.popFirst() {
      asked.insert(server)
      return .ask(server)
    }
    return asked.isEmpty ? .fail(verdict) : .wait
  }

  /// All copies damaged: the content is. Otherwise it may be whole when a server comes back.
  private var verdict: DFSError {
    let reasons =
      failures.map { "\($0.server): \($0.error)" }
      + absent.map { $0.problem.map(\.description) ?? "\($0.server) is not up" }
    let text = "part \(id.part) of version \(id.version)"
    let told = reasons.joined(separator: "; ")
    if absent.isEmpty, failures.allSatisfy({ $0.error.code == .timedOut }), !failures.isEmpty {
      return DFSError(.timedOut, "\(text) did not come in time: \(told)")
    }
    let mayComeBack = failures.contains { Self.isAbsence($0.error) }
    if absent.isEmpty, !mayComeBack, !failures.isEmpty {
      return DFSError(.damaged, "no good copy of \(text) is left: \(told)")
    }
    return DFSError(.incomplete, "\(text) is on no server that is up: \(told)")
  }

  private static func isAbsence(_ error: DFSError) -> Bool {
    switch error.code {
    case .disconnected, .timedOut, .serversMissing, .cancelled: true
    default: false
    }
  }
}

extension ServerSet {
  /// The holder that serves a part when both are well: for each part of a regular placement
  /// another server, so that all four do.
  var preferred: ServerIndex? {
    let all = servers
    return all.first { server in
      contains(
        ServerIndex((server.value + Limits.serverCount - 1) % Limits.serverCount))
    } ?? all.first
  }
}
