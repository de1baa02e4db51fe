internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// The views of a client. Before anything comes after the changes that the taking of one has brought to servers,
/// these must have the small copies that the changes came without.
struct ClientViews {
  private struct Taking {
    let began: Int
    /// Servers that were sent changes with the view.
    var brought: ServerSet = []
    /// The first that have installed it, until there are three.
    var members: ServerSet = []
    var isFollowed = false
  }

  private let world: World
  private let slot: Int
  private var views: [View: Taking] = [:]
  /// When servers told a part of what they lack: the rest is for the healers.
  private var partly: [ServerIndex: Int] = [:]

  init(world: World, slot: Int) { (self.world, self.slot) = (world, slot) }

  /// The client sends a step of the protocol.
  mutating func sends(_ step: NamespaceRequest, to server: ServerIndex) {
    switch step {
    case .prepare(let view): views[view] = views[view] ?? Taking(began: world.now)
    case .install(let view, _, let changes, _):
      if !changes.isEmpty { views[view]?.brought.insert(server) }
    case .apply(let view, _, _): follows(view)
    default: break
    }
  }

  /// A server has answered.
  mutating func told(_ reply: NamespaceReply, by server: ServerIndex) {
    guard case .installed(let head) = reply, let taking = views[head.view],
      taking.members.count < Limits.quorum
    else { return }
    views[head.view]?.members.insert(server)
  }

  /// A server has told what it lacks.
  mutating func lacks(_ missing: Reply.MissingList, _ server: ServerIndex) {
    if missing.total > UInt64(missing.copies.count) { partly[server] = world.now }
  }

  private mutating func follows(_ view: View) {
    guard let taking = views[view], !taking.isFollowed, taking.members.count == Limits.quorum
    else { return }
    views[view]?.isFollowed = true
    guard !taking.brought.isDisjoint(with: taking.members) else { return }
    let told = taking.members.servers.filter { partly[$0] ?? -1 < taking.began }
    world.copies.completed(
      world.copies.neededSmall, by: slot, since: taking.began, in: view, ServerSet(told))
  }
}
