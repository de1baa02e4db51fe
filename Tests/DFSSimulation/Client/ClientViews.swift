internal import DFSCore
internal import DFSReplication

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

  private mutating func follows(_ view: View) {
    guard let taking = views[view], !taking.isFollowed, taking.members.count == Limits.quorum
    else { return }
    views[view]?.isFollowed = true
    guard !taking.brought.isDisjoint(with: taking.members) else { return }
    // What a server does not tell at once is for the healers.
    let told = taking.members.servers.filter {
      world.servers[$0.value].disk.current.copies.missing.count < SimulatedServer.wantedPage
    }
    world.copies.completed(
      world.copies.neededSmall, by: slot, since: taking.began, in: view, ServerSet(told))
  }
}
