public import DFSCore

/// The view change: promises, the choice of the truth, the outcome of an open change, and losing.
extension Coordinator {
  /// Begins to make a view change, with the servers that are reachable.
  public mutating func takeView(reachable: ServerSet) -> [Action] {
    view = View(round: rounds.next, client: client, namespace: namespace)
    rounds.use(view.round)
    phase = .preparing
    source = nil
    witnesses = []
    setbacks = [Int](repeating: 0, count: Limits.serverCount)
    outstanding = [:]
    outcome = nil
    outcomeIsOpen = pending != nil
    outcomeAsked = []
    hasBroughtChanges = false
    takesOver = false
    peers = Array(repeating: .unreachable, count: Limits.serverCount)
    guard reachable.count >= Limits.quorum else {
      phase = .idle
      return [.stuck(.silent(ServerSet.all.subtracting(reachable)))]
    }
    return reachable.servers.flatMap { prepare($0) }
  }

  mutating func prepare(_ server: ServerIndex) -> [Action] {
    peers[server.value] = .silent
    return [send(server, .prepare(view), for: .prepare)]
  }

  /// The server has promised the view, and its rows are at `theirs`.
  mutating func promised(_ server: ServerIndex, _ theirs: Head) -> [Action] {
    // A server promises no view that is earlier than its own.
    guard theirs.view.round <= view.round else { return absurd(server) }
    if phase != .preparing, isSetBackTooOften(server) { return absurd(server) }
    if phase == .installing, theirs.hasSameRows(as: head) { witnesses.insert(server) }
    saw(theirs.view)
    if let namespace, theirs.view.namespace == namespace { learn(namespace) }
    peers[server.value] = .promised(theirs)
    return phase == .preparing ? decideTruth() : bring(server)
  }

  private var promises: [(server: ServerIndex, head: Head)] {
    ServerIndex.all.compactMap {
      if case .promised(let head) = peers[$0.value] { ($0, head) } else { nil }
    }
  }

  private mutating func decideTruth() -> [Action] {
    let answers = promises
    let voters = answers.filter { $0.head.view != .none }
    let areAll = answers.count == Limits.serverCount
    let neverWritten = areAll && answers.allSatisfy { $0.head.number == 0 }
    // What was acknowledged was on three servers, so one of any two that are not blank has it.
    let isEnough = voters.count >= (areAll ? Limits.serverCount - Limits.quorum + 1 : Limits.quorum)
    // Two clients that propose an identity each: only one can have the promises of all four.
    guard isEnough || neverWritten, isNamespaceKnown || areAll else { return checkLoss() }
    if voters.isEmpty, let end = forgetHearsay() { return end }
    guard let truth = Self.greatest(voters.isEmpty ? answers : voters) else { return [] }
    let next = voters.filter { $0.server != truth.server }.map(\.head.number).max()
    if let next, !Rounds.isPlausible(truth.head.number, beyond: next) {
      let lost = absurd(truth.server)
      return phase == .preparing ? lost + decideTruth() : lost
    }
    phase = .installing
    witnesses = ServerSet(answers.filter { $0.head.hasSameRows(as: truth.head) }.map(\.server))
    takesOver = !isNamespaceKnown && !voters.isEmpty
    source = truth.server
    head = Head(view: view, number: truth.head.number, digest: truth.head.digest)
    return decideOutcome() + answers.flatMap { bring($0.server) }
  }

  /// The greatest head, view first, then number. Where equal heads have different rows, one of them
  /// is damaged: most servers are right.
  private static func greatest(
    _ answers: [(server: ServerIndex, head: Head)]
  ) -> (server: ServerIndex, head: Head)? {
    func agreement(_ head: Head) -> Int { answers.count { $0.head == head } }
    return answers.max {
      ($0.head.view, $0.head.number, agreement($0.head))
        < ($1.head.view, $1.head.number, agreement($1.head))
    }
  }

  // MARK: The outcome of an open change

  /// The change was sent as one number, in a view that has ended: it is there, or nowhere.
  private mutating func decideOutcome() -> [Action] {
    guard outcomeIsOpen, let pending else { return [] }
    if pending.number <= head.number { return askOutcome() }
    outcome = .dropped
    outcomeIsOpen = false
    return []
  }

  /// Asks the next server that has the truth for its log; unknown when all were asked in vain.
  mutating func askOutcome() -> [Action] {
    guard outcomeIsOpen, phase == .installing, let pending else { return [] }
    if outstanding.values.contains(where: { $0.purpose == .outcome }) { return [] }
    let knowing = ServerIndex.all.filter {
      isCurrent($0) || ($0 == source && ![.unreachable, .absurd].contains(peers[$0.value]))
    }
    if let next = knowing.first(where: { !outcomeAsked.contains($0) }) {
      outcomeAsked.insert(next)
      return [send(next, .log(after: pending.number - 1), for: .outcome)]
    }
    if knowing.count >= Limits.quorum {
      outcome = .unknown
      outcomeIsOpen = false
    }
    return []
  }

  mutating func learnOutcome(base: RowDigest?, entries: [LogEntry]) -> [Action] {
    guard outcomeIsOpen, let pending else { return [] }
    guard base != nil, let entry = entries.first, entry.number == pending.number else {
      return askOutcome() + advance()
    }
    outcome = entry.change.id == pending.change.id ? .committed : .dropped
    outcomeIsOpen = false
    return advance()
  }

  // MARK: Winning and losing

  /// Becomes the leader once three servers are in the view and no change's outcome is open.
  mutating func advance() -> [Action] {
    guard phase == .installing, !outcomeIsOpen,
      ServerIndex.all.count(where: { isCurrent($0) })
        >= (takesOver ? Limits.serverCount : Limits.quorum)
    else { return [] }
    phase = .leading
    takesOver = false
    confirmNamespace()
    pending = nil
    return [.viewTaken(head, open: outcome)]
  }

  mutating func refused(by server: ServerIndex, in other: View, _ purpose: Purpose) -> [Action] {
    let isPlausible = rounds.heard(other.round, from: server)
    if other > view {
      peers[server.value] = isPlausible ? .refused : .absurd
      return checkLoss()
    }
    // It forgot its promise (a blank or restored disk).
    if other < view {
      // A promise is refused for a later view only.
      return purpose == .prepare || isSetBackTooOften(server) ? absurd(server) : prepare(server)
    }
    switch purpose {
    case .prepare:
      // It is in the view already: an answer to an install was lost.
      return [send(server, .head, for: .probe)]
    case .apply(pending?.number):
      // It has another change under this number: only a new view can mend it.
      peers[server.value] = .refused
      return checkLoss()
    default: return []
    }
  }

  /// The rows of a server are of another namespace than is known, or those of a namespace that had not been
  /// heard of.
  mutating func foreign(_ server: ServerIndex, _ theirs: Head) -> [Action] {
    if let theirs = theirs.view.namespace, !isNamespaceKnown {
      learn(theirs)
      return [.superseded]
    }
    peers[server.value] = .foreign
    return checkLoss()
  }

  private mutating func isSetBackTooOften(_ server: ServerIndex) -> Bool {
    setbacks[server.value] += 1
    return setbacks[server.value] > Self.setbackLimit
  }

  /// What the server says cannot be: it is left out, and nothing of it is carried to others.
  private mutating func absurd(_ server: ServerIndex) -> [Action] {
    peers[server.value] = .absurd
    return checkLoss()
  }

  /// Whether three servers can still be had for what is under way.
  mutating func checkLoss() -> [Action] {
    guard phase != .idle, phase != .leading || pending != nil else { return [] }
    let gone = ServerSet { peers[$0.value] == .unreachable }
    let refusing = ServerSet { peers[$0.value] == .refused }
    let rejecting = phase == .leading ? pending?.rejected ?? [] : []
    let foreign = ServerSet { peers[$0.value] == .foreign }
    let absurd = ServerSet { peers[$0.value] == .absurd }
    let lost = gone.union(refusing).union(rejecting).union(foreign).union(absurd)
    if lost.count > (takesOver ? 0 : Limits.serverCount - Limits.quorum) {
      abandon()
      if !refusing.isEmpty { return [.superseded] }
      if !foreign.isEmpty { return [.stuck(.foreign(foreign))] }
      if !absurd.isEmpty { return [.stuck(.absurd(absurd))] }
      if takesOver { return [.stuck(.unnamed(gone))] }
      return [.stuck(rejecting.isEmpty ? .silent(gone) : .missingParts(rejecting))]
    }
    let answers = promises
    if phase == .preparing, answers.count + lost.count == Limits.serverCount {
      let blank = ServerSet(answers.filter { $0.head.view == .none }.map(\.server))
      abandon()
      if !refusing.isEmpty { return [.superseded] }
      if !foreign.isEmpty { return [.stuck(.foreign(foreign))] }
      if !absurd.isEmpty { return [.stuck(.absurd(absurd))] }
      return [.stuck(blank.isEmpty ? .unnamed(gone) : .blank(blank))]
    }
    return []
  }
}
