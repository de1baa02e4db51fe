public import DFSCore

/// Appending changes to the view.
extension Coordinator {
  /// Every change writes this row besides its own: its identity. Two changes with the same writes
  /// under the same number would otherwise leave equal digests, and a server that took the one would
  /// pass for one that took the other. The row belongs to no inode (there is none of number 0).
  public static let identityKey: RowKey = {
    guard let name = try? AttributeName("change") else { preconditionFailure("'change' is a name") }
    return .attribute(InodeID(0), name: name)
  }()

  /// Appends a change to the view; only while leading, one at a time.
  public mutating func append(_ writes: [RowWrite]) -> [Action] {
    precondition(phase == .leading && pending == nil, "one change at a time, in a view")
    sequence += 1
    let id = ChangeID(client: client, sequence: sequence)
    let identity = RowValue(bytes: Array(bigEndian: client.value, sequence))
    pending = Pending(
      change: Change(id: id, writes: writes + [RowWrite(Self.identityKey, identity)]),
      number: head.number + 1)
    return checkLoss() + ServerIndex.all.flatMap { follow($0) }
  }

  mutating func applyPending(to server: ServerIndex) -> [Action] {
    guard let pending, pending.answers[server] == nil,
      !isUnderWay(.apply(pending.number), to: server)
    else { return [] }
    return [
      send(
        server, .apply(view, number: pending.number, pending.change), for: .apply(pending.number))
    ]
  }

  mutating func applied(_ server: ServerIndex, _ theirs: Head) -> [Action] {
    guard phase == .leading, case .inView(let number) = peers[server.value] else { return [] }
    peers[server.value] = .inView(max(number, theirs.number))
    guard var open = pending, theirs.number == open.number else { return follow(server) }
    open.answers[server] = theirs
    pending = open
    let same = open.answers.filter { $0.value.digest == theirs.digest }
    guard same.count >= Limits.quorum else { return checkLoss() }
    head = Head(view: view, number: open.number, digest: theirs.digest)
    pending = nil
    return [.committed(head, accepted: ServerSet(same.keys))]
  }

  mutating func rejected(by server: ServerIndex) -> [Action] {
    guard var open = pending else { return [] }
    open.rejected.insert(server)
    pending = open
    return checkLoss()
  }
}
