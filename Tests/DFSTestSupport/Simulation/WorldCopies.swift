internal import DFSCore
internal import DFSReplication

/// What the checks know of the copies on all servers.
///
/// Invariant: at most one server at a time forgets or damages copies (`Faults`), so a part that was
/// seen good on two servers, and that the rows ask for, is lost only by a defect.
final class WorldCopies {
  private unowned let world: World
  /// Parts that were good on two servers at some time.
  private var seenWhole: Set<PartID> = []
  /// Parts whose only copy was on the server that forgot it: stored with reduced redundancy.
  private(set) var sacrificed: Set<PartID> = []
  /// Versions of small contents that were not acknowledged: a change that only one or two servers
  /// took before its client was gone is finished by others, without the copies that travelled to
  /// nobody.
  var unsure: Set<VersionID> = []
  private var troubles: [World.Link: Int] = [:]
  private var forgetting: [Int] = [0, 0, 0, 0]

  init(world: World) { self.world = world }

  // MARK: What happened

  /// A message was lost or late, or a server was away.
  func trouble(_ link: World.Link) { troubles[link] = world.now }

  /// The server is about to forget: what it has is compared with what is left.
  func forgetting(on server: SimulatedServer, _ fault: () -> Void) {
    noteWhole()
    let before = server.disk.good
    fault()
    forgetting[server.index.value] = world.now
    for (id, holders) in needed
    where before.contains(id) && holders.contains(server.index) && !hasCopy(id, holders) {
      if seenWhole.contains(id) {
        world.fail("the last good copy of \(id.brief) was on \(server.index), which lost it")
      }
      sacrificed.insert(id)
    }
  }

  private func noteWhole() {
    for (id, holders) in needed where count(id, holders) >= 2 && isCommitted(id, holders) {
      seenWhole.insert(id)
    }
  }

  /// The parts that the rows name and their holders, as the server with the greatest head has them.
  private var needed: [(id: PartID, holders: ServerSet)] {
    truth.contents.flatMap { content in
      PartIndex.all.map { part in
        let id = PartID(version: content.content.version, part: part)
        return (id, content.content.placement.holders(of: part))
      }
    }
  }

  /// Whether three servers have the row that says so.
  private func isCommitted(_ id: PartID, _ holders: ServerSet) -> Bool {
    let servers = world.servers.count { server in
      server.disk.current.contents.contains {
        $0.content.version == id.version && $0.content.placement.holders(of: id.part) == holders
      }
    }
    return servers >= Limits.quorum
  }

  private func count(_ id: PartID, _ holders: ServerSet = .all) -> Int {
    holders.servers.count { world.servers[$0.value].disk.hasGood(id) }
  }

  private func hasCopy(_ id: PartID, _ holders: ServerSet) -> Bool { count(id, holders) > 0 }

  private var truth: SimulatedDisk.State {
    let states = world.servers.map(\.disk.current)
    return states.max { one, other in
      let (one, other) = (one.replica.head, other.replica.head)
      return (one.view, one.number) < (other.view, other.number)
    } ?? SimulatedDisk.State()
  }

  // MARK: Checks on the way

  /// The collector removes a copy: three servers that ask this one for it would show that the change
  /// that let go of it is none. One that was restored from a backup may be behind them all.
  func removed(_ id: PartID, from server: SimulatedServer) {
    let hasForgotten = forgetting[server.index.value] > 0
    if hasForgotten, server.head.number < truth.replica.head.number { return }
    let asking = world.servers.count { other in
      other !== server && other.disk.current.asking(id, server.disk.setting.duty) != nil
    }
    if asking >= Limits.quorum {
      world.fail("\(server.index) removed \(id.brief), which three servers ask it for")
    }
  }

  /// A publish is about to be acknowledged: each part has two copies, unless a server that should
  /// have one was in trouble since the publish began.
  func acknowledged(_ key: RowKey, _ content: RowContent, by slot: Int, began: Int) {
    guard truth.rows[key]?.value.content?.version == content.version else { return }
    noteWhole()
    for part in PartIndex.all {
      let id = PartID(version: content.version, part: part)
      guard count(id) < 2 else { continue }
      if count(id) == 0, forgetting.allSatisfy({ $0 < began }) {
        world.fail("\(id.brief) was acknowledged without any copy")
      }
      for server in content.placement.holders(of: part).servers {
        guard !world.servers[server.value].disk.hasGood(id) else { continue }
        let link = World.Link(slot: slot, server: server.value)
        let last = max(troubles[link] ?? 0, forgetting[server.value])
        if last < began {
          world.fail("\(id.brief) was acknowledged without a copy on \(server), which was well")
        }
      }
    }
  }

  /// Whether every copy that is asked for is there, and good.
  var areWhole: Bool {
    world.servers.allSatisfy { server in
      server.disk.current.asked(server.disk.setting.duty).allSatisfy { server.disk.hasGood($0.0) }
    }
  }

  // MARK: The end

  /// What is not as it should be once all is healed; nil if all is.
  var problem: String? {
    let lost = lost
    let contents = world.servers[0].disk.current.contents.map(\.content)
    if let content = contents.first(where: {
      $0.placement != $0.home && !lost.contains($0.version)
    }) {
      return "\(content.version) is not at home"
    }
    return world.servers.lazy.compactMap { self.problem(on: $0, contents, lost) }.first
  }

  private func problem(
    on server: SimulatedServer, _ contents: [RowContent], _ lost: Set<VersionID>
  ) -> String? {
    func first(_ ids: some Sequence<PartID>) -> PartID? {
      ids.filter { !lost.contains($0.version) }.inOrder.first
    }
    let duty = server.disk.setting.duty
    let asked = Set(contents.flatMap(duty.copies))
    let copies = server.disk.current.copies
    if let id = first(asked.filter { !server.disk.hasGood($0) }) {
      return "\(server.index) has no good copy of \(id.brief)"
    }
    if let id = first(copies.wanted.keys) { return "\(server.index) wants \(id.brief)" }
    if let id = first(copies.garbage.keys) { return "\(server.index) keeps \(id.brief)" }
    let here = Set(server.disk.files.keys).union(copies.small.keys)
    if let id = first(here.subtracting(asked)) { return "\(server.index) is left with \(id.brief)" }
    return nil
  }

  /// Versions of which nobody has all: they were never acknowledged, or the server that forgot had
  /// the only copy of a part.
  var lost: Set<VersionID> {
    let parts = needed.filter { id, holders in
      sacrificed.contains(id) || unsure.contains(id.version) && !hasCopy(id, holders)
    }
    return Set(parts.map(\.id.version))
  }
}
