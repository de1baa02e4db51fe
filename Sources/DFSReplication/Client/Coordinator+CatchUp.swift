internal import DFSCore

/// Bringing servers along: one that promised the view gets the changes that it lacks with the
/// install, in one step, or all rows if no log tells how to get there; one that is in the view gets
/// the changes one after the other.
extension Coordinator {
  /// Pages of log that one install may carry; a page is at most `Limits.answerBytes`, and an
  /// install must fit in `Limits.headerBytes`.
  private static let installPages = Limits.headerBytes / Limits.answerBytes - 1

  /// Begins again with a server whose catching up has come to nothing.
  mutating func bringAgain(_ server: ServerIndex) -> [Action] {
    switch peers[server.value] {
    case .catchingUp(let way):
      // A transfer has its own end.
      if way.step == .transfer { return [] }
      peers[server.value] = .promised(way.from)
      return bring(server)
    case .promised: return bring(server)
    case .inView: return follow(server)
    default: return []
    }
  }

  /// Brings a server that promised to the committed head, the shortest way.
  mutating func bring(_ server: ServerIndex) -> [Action] {
    guard phase == .installing || phase == .leading,
      case .promised(let theirs) = peers[server.value]
    else { return [] }
    if theirs.hasSameRows(as: head) {
      return [install(CatchUp(from: theirs, step: .install), server)]
    }
    guard let source = currentSource(otherThan: server) else { return [] }
    if theirs.number >= head.number { return transfer(server, from: theirs, source: source) }
    peers[server.value] = .catchingUp(CatchUp(from: theirs, step: .log))
    return [send(source, .log(after: theirs.number), for: .bring(server))]
  }

  /// A page of the log of `source` has come, for `server`.
  mutating func bring(
    _ server: ServerIndex, from source: ServerIndex, base: RowDigest?, entries: [LogEntry]
  ) -> [Action] {
    switch peers[server.value] {
    case .catchingUp(let way) where way.step == .log:
      return bring(server, way, source: source, base: base, entries: entries)
    case .inView(let number): return apply(entries, to: server, after: number)
    default: return []
    }
  }

  private mutating func bring(
    _ server: ServerIndex, _ way: CatchUp, source: ServerIndex, base: RowDigest?,
    entries: [LogEntry]
  ) -> [Action] {
    var way = way
    let reached = way.from.number + UInt64(way.changes.count)
    let page = entries.filter { $0.number <= head.number }
    let follows = way.changes.isEmpty ? base == way.from.digest : base != nil
    guard follows, let last = page.last, page.first?.number == reached + 1 else {
      return transfer(server, from: way.from, source: source)
    }
    way.changes += page.map(\.change)
    way.pages += 1
    if last.number == head.number, last.digest == head.digest { return [install(way, server)] }
    guard last.number < head.number, way.pages < Self.installPages else {
      return transfer(server, from: way.from, source: source)
    }
    peers[server.value] = .catchingUp(way)
    return [send(source, .log(after: last.number), for: .bring(server))]
  }

  private mutating func install(_ way: CatchUp, _ server: ServerIndex) -> Action {
    peers[server.value] = .catchingUp(CatchUp(from: way.from, step: .install))
    if !way.changes.isEmpty { hasBroughtChanges = true }
    return send(
      server, .install(view, from: way.from, changes: way.changes, to: head), for: .install)
  }

  /// Rows that have no identity and another history than those of the others are not replaced: nothing
  /// says that they are of this namespace.
  private mutating func transfer(
    _ server: ServerIndex, from theirs: Head, source: ServerIndex
  ) -> [Action] {
    guard theirs.view == .none || theirs.view.namespace == namespace else {
      return foreign(server, theirs)
    }
    peers[server.value] = .catchingUp(CatchUp(from: theirs, step: .transfer))
    hasBroughtChanges = true
    return [.transfer(server, source: source, view)]
  }

  /// The server is in the view, at `theirs`.
  mutating func installed(_ server: ServerIndex, _ theirs: Head) -> [Action] {
    guard theirs.view == view else { return [] }
    peers[server.value] = .inView(theirs.number)
    if phase == .leading { return follow(server) }
    // It may be the source that others wait for.
    let others = ServerIndex.all.flatMap { bring($0) }
    return others + askOutcome() + advance()
  }

  // MARK: Servers in the view

  /// Gives a server of the view what it lacks: the change under way, or first what comes before.
  /// One that has not answered the change before gets the next one too: it will have performed the
  /// one when the other arrives, or answer that it is behind.
  mutating func follow(_ server: ServerIndex) -> [Action] {
    guard phase == .leading, case .inView(let number) = peers[server.value] else { return [] }
    if number >= head.number || isUnderWay(.apply(head.number), to: server) {
      return applyPending(to: server)
    }
    let isBeingBrought = outstanding.values.contains {
      if case .apply = $0.purpose { $0.server == server } else { $0.purpose == .bring(server) }
    }
    guard !isBeingBrought, let source = currentSource(otherThan: server) else { return [] }
    return [send(source, .log(after: number), for: .bring(server))]
  }

  func isUnderWay(_ purpose: Purpose, to server: ServerIndex) -> Bool {
    outstanding.values.contains { $0.server == server && $0.purpose == purpose }
  }

  private mutating func apply(
    _ entries: [LogEntry], to server: ServerIndex, after number: UInt64
  ) -> [Action] {
    let missing = entries.filter { $0.number > number && $0.number <= head.number }
    return missing.map {
      send(server, .apply(view, number: $0.number, $0.change), for: .apply($0.number))
    }
  }

  /// A server lacks changes before the one that was sent.
  mutating func behind(_ server: ServerIndex, _ theirs: Head) -> [Action] {
    guard theirs.view == view else { return promised(server, theirs) }
    peers[server.value] = .inView(theirs.number)
    return follow(server)
  }

  /// A server that has the committed head, or the one whose head is the truth of the view.
  private func currentSource(otherThan target: ServerIndex) -> ServerIndex? {
    if let current = ServerIndex.all.first(where: { $0 != target && isCurrent($0) }) {
      return current
    }
    guard phase == .installing, let source, source != target else { return nil }
    return [.unreachable, .absurd].contains(peers[source.value]) ? nil : source
  }
}
