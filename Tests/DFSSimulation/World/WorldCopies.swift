internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

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
  /// Versions whose publish was acknowledged as on stable storage.
  private var durable: Set<VersionID> = []
  /// Versions of files, whatever they are made of by now, of which that is so.
  private var durableVersions: Set<VersionID> = []
  private var troubles: [World.Link: Int] = [:]
  private var forgetting: [Int] = [0, 0, 0, 0]
  /// When a single copy of the server's went bad, or was quarantined.
  private var damaged: [Int] = [0, 0, 0, 0]
  /// Copies that each server has quarantined.
  private var quarantined: [Set<PartID>] = [[], [], [], []]

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
    for (id, holders) in needed where before.contains(id) && !hasCopy(id, holders) {
      if seenWhole.contains(id), holders.contains(server.index) {
        world.fail("the last good copy of \(id.brief) was on \(server.index), which lost it")
      }
    }
    // Also of what no row names yet.
    for id in before where !canBeGiven(id) { sacrificed.insert(id) }
  }

  /// The server quarantined copies that an fsync failed on.
  func quarantine(_ ids: [PartID], on server: SimulatedServer) {
    damaged[server.index.value] = world.now
    seenWhole.subtract(ids)
    quarantined[server.index.value].formUnion(ids)
    for id in ids where !canBeGiven(id) { sacrificed.insert(id) }
  }

  /// All servers are about to forget what was not synced.
  func allForgetting(_ fault: () -> Void) {
    let before = world.servers.reduce(into: Set()) { $0.formUnion($1.disk.good) }
    fault()
    forgetting = Array(repeating: world.now, count: Limits.serverCount)
    seenWhole = []
    let needed = Set(needed.map(\.id))
    for id in before.inOrder where !canBeGiven(id) {
      if durable.contains(id.version), needed.contains(id) {
        world.fail("\(id.brief) was on stable storage, and is lost")
      }
      sacrificed.insert(id)
    }
    for (inode, version) in truth.versions where durableVersions.contains(version.id) {
      let ids = version.contents.flatMap { content in
        PartIndex.all.map { PartID(version: content.id, part: $0) }
      }
      if let id = ids.first(where: { before.contains($0) && !canBeGiven($0) }) {
        world.fail("inode \(inode) was on stable storage, and its \(id.brief) is lost")
      }
    }
  }

  /// All that a version is made of is on stable storage.
  func durable(_ version: Version) {
    durableVersions.insert(version.id)
    durable.formUnion(version.contents.map(\.id))
  }

  /// A copy that is not the last good one of its blocks, of a content that is where the rule puts it and of which
  /// nothing is under way.
  func flippable() -> (SimulatedServer, PartID, block: Int)? {
    let contents = truth.contents.map(\.content).filter { $0.placement == $0.home }
    guard !contents.isEmpty else { return nil }
    let content = world.random.pick(contents)
    let id = PartID(version: content.version, part: world.random.pick(PartIndex.all))
    let holders = content.home.holders(of: id.part)
    guard isCommitted(id, holders, named) else { return nil }
    let server = world.servers[world.random.pick(holders.servers).value]
    let block = world.random.pick(Array(SimulatedFile.blocks))
    let others = holders.subtracting(ServerSet([server.index])).servers
    guard server.disk.files[id] != nil,
      others.contains(where: { world.servers[$0.value].disk.hasGood(id, block: block) })
    else { return nil }
    return (server, id, block)
  }

  func wasQuarantined(_ id: PartID, on server: ServerIndex) -> Bool {
    quarantined[server.value].contains(id)
  }

  func noteDamage(on server: SimulatedServer) { damaged[server.index.value] = world.now }

  private func noteWhole() {
    let named = named
    for (id, holders) in needed
    where !seenWhole.contains(id) && count(id, holders) >= 2 && isCommitted(id, holders, named) {
      seenWhole.insert(id)
    }
  }

  /// For each server the contents that its rows name.
  private var named: [[VersionID: [RowContent]]] {
    world.servers.map { server in
      Dictionary(grouping: server.disk.current.contents.map(\.content), by: \.version)
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
  private func isCommitted(
    _ id: PartID, _ holders: ServerSet, _ named: [[VersionID: [RowContent]]]
  ) -> Bool {
    let servers = named.count { contents in
      contents[id.version]?.contains { $0.placement.holders(of: id.part) == holders } ?? false
    }
    return servers >= Limits.quorum
  }

  private func count(_ id: PartID, _ holders: ServerSet = .all) -> Int {
    holders.servers.count { world.servers[$0.value].disk.hasGood(id) }
  }

  /// Whether each block has a good copy somewhere.
  private func hasAllBlocks(_ id: PartID) -> Bool {
    SimulatedFile.blocks.allSatisfy { block in
      world.servers.contains {
        $0.disk.isHere(id) && $0.disk.hasGood(id, block: block)
      }
    }
  }

  private func hasCopy(_ id: PartID, _ holders: ServerSet) -> Bool { count(id, holders) > 0 }

  /// Whether some server has a copy that it can give to others.
  private func canBeGiven(_ id: PartID) -> Bool {
    world.servers.contains { $0.disk.canGive(id) }
  }

  private var truth: SimulatedDisk.State {
    let states = world.servers.map(\.disk.current)
    return states.max { one, other in
      let (one, other) = (one.replica.head, other.replica.head)
      return (one.view, one.number) < (other.view, other.number)
    } ?? SimulatedDisk.State()
  }

  // MARK: Checks on the way

  /// The collector removes a copy: three servers that ask this one for it would show that the change
  /// that let go of it is none. One that has forgotten may be behind them all, or have what they never had.
  func removed(_ id: PartID, from server: SimulatedServer, byWriter: Bool) {
    noteLastOrphan(id, on: server)
    let hasForgotten = forgetting[server.index.value] > 0
    if hasForgotten, !server.head.hasSameRows(as: truth.replica.head) { return }
    let asking = world.servers.count { other in
      other !== server && other.disk.current.asking(id, server.disk.setting.required) != nil
    }
    if asking >= Limits.quorum {
      world.fail("\(server.index) removed \(id.brief), which three servers ask it for")
    }
    // All servers but one have said that they know.
    if byWriter { return }
    for reader in world.notes.readers(of: id.version) where reader.told + 50_000 < world.now {
      guard let slot = server.slot(of: reader.client) else { continue }
      let link = World.Link(slot: slot, server: server.index.value)
      if troubles[link] ?? 0 < reader.since {
        world.fail("\(server.index) removed \(id.brief), which client \(slot) reads")
      }
    }
  }

  /// Both servers that should have the copy lost theirs by a fault of their own, before the publish was
  /// acknowledged. What is left is on a third server, which no row asks for it: it may remove it.
  private func noteLastOrphan(_ id: PartID, on server: SimulatedServer) {
    guard !world.servers.contains(where: { $0 !== server && $0.disk.canGive(id) }),
      !durable.contains(id.version), let holders = needed.first(where: { $0.id == id })?.holders,
      !holders.contains(server.index)
    else { return }
    if holders.servers.allSatisfy({ quarantined[$0.value].contains(id) || forgetting[$0.value] > 0 }
    ) {
      sacrificed.insert(id)
    }
  }

  /// A publish is about to be acknowledged: each part has two copies, unless a server that should
  /// have one was in trouble since the publish began.
  func acknowledged(
    _ key: RowKey, _ content: RowContent, by slot: Int, began: Int, durable isDurable: Bool
  ) {
    if isDurable { durable.insert(content.version) }
    guard truth.rows[key]?.value.content?.version == content.version else { return }
    noteWhole()
    for part in PartIndex.all {
      let id = PartID(version: content.version, part: part)
      guard count(id) < 2 else { continue }
      if !hasAllBlocks(id), forgetting.allSatisfy({ $0 < began }) {
        world.fail("\(id.brief) was acknowledged without any copy")
      }
      for server in content.placement.holders(of: part).servers {
        guard !world.servers[server.value].disk.hasGood(id) else { continue }
        let link = World.Link(slot: slot, server: server.value)
        let last = max(troubles[link] ?? 0, forgetting[server.value], damaged[server.value])
        if last < began {
          world.fail("\(id.brief) was acknowledged without a copy on \(server), which was well")
        }
      }
    }
  }

  typealias Needed = [(id: PartID, holders: ServerSet)]

  /// The small copies that the rows name now.
  var neededSmall: Needed { needed.filter { world.contents.small.contains($0.id.version) } }

  /// A client has a view, and is about to change something in it: every server that was well since the
  /// view was begun has its small copies, if anybody can give them.
  /// - Parameters:
  ///   - small: what the rows named when the view was taken.
  ///   - servers: those that were asked what they lack, and had all changes.
  func completed(
    _ small: Needed, by slot: Int, since began: Int, in view: View, _ servers: ServerSet
  ) {
    guard truth.replica.head.view == view else { return }
    for (id, holders) in small where canBeGiven(id) {
      for server in holders.intersection(servers).servers.map({ world.servers[$0.value] })
      where server.isUp {
        let links = ServerIndex.all.map { World.Link(slot: slot, server: $0.value) }
        let last = (links.map { troubles[$0] ?? 0 } + forgetting + damaged).max() ?? 0
        if last < began, server.head.view == view, !server.disk.isHere(id) {
          world.fail("client \(slot) made a view change, and \(server.index) lacks its \(id.brief)")
        }
      }
    }
  }

  /// Whether every copy that is asked for is there, and good.
  var areWhole: Bool {
    world.servers.allSatisfy { server in
      server.disk.current.asked(server.disk.setting.required).allSatisfy {
        server.disk.hasGood($0.0)
      }
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
      return "\(content.version) is not where the rule puts it"
    }
    return world.servers.lazy.compactMap { self.problem(on: $0, contents, lost) }.first
  }

  /// What is not settled though nobody changes it any more, but for what nobody has all of.
  var unsettled: String? {
    guard world.settings.hasLayers else { return nil }
    let lost = lost
    return world.servers[0].disk.current.versions.lazy.compactMap { inode, version in
      version.isSettled || version.contents.contains { lost.contains($0.id) }
        ? nil : "inode \(inode) is not settled: \(version.brief)"
    }.first
  }

  private func problem(
    on server: SimulatedServer, _ contents: [RowContent], _ lost: Set<VersionID>
  ) -> String? {
    func first(_ ids: some Sequence<PartID>) -> PartID? {
      ids.filter { !lost.contains($0.version) }.inOrder.first
    }
    let required = server.disk.setting.required
    let asked = Set(contents.flatMap(required.copies))
    let copies = server.disk.current.copies
    if let id = first(asked.filter { !server.disk.hasGood($0) }) {
      return "\(server.index) has no good copy of \(id.brief)"
    }
    if let id = first(copies.missing.keys) { return "\(server.index) wants \(id.brief)" }
    if let id = first(copies.unreferenced.keys) { return "\(server.index) keeps \(id.brief)" }
    let here = Set(server.disk.files.keys).union(copies.small.keys)
    if let id = first(here.subtracting(asked)) {
      return "\(server.index) is left with \(id.brief)"
    }
    if world.settings.outlivesRetained, let id = first(copies.retained.keys) {
      return "\(server.index) keeps \(id.brief) for others"
    }
    return nil
  }

  /// Versions of which nobody has all: a server that forgot had the only copy of a part, or all lost
  /// power before it was on stable storage.
  var lost: Set<VersionID> {
    Set(needed.map(\.id).filter(sacrificed.contains).map(\.version))
  }
}
