internal import DFSCore
internal import DFSReplication
internal import Logging

/// Refills that the Coordinator asks for: each is a task of its own, whose end is told to the Coordinator.
extension NamespaceDriver {
  /// One that is under way serves any later view of this client too.
  func refill(_ server: ServerIndex, from source: ServerIndex, _ view: View) {
    guard !refills.contains(server) else { return }
    refills.insert(server)
    logger.info("refilling \(server) from \(source)")
    let others = current.intersection(servers.reachable).subtracting(ServerSet([server, source]))
    let refill = NamespaceRefill(
      server: server, sources: [source] + others.servers, view: view, servers: servers,
      lossGuard: lossGuard, lossFound: { await self.lossFound($0) }
    ) { await self.aim(of: server) }
    Task {
      let result = await refill.run()
      refills.remove(server)
      ended(server, result)
    }
  }

  private func aim(of server: ServerIndex) -> NamespaceRefill.Aim {
    guard let goal = coordinator.goal else { return .unknown }
    return coordinator.lacking.contains(server) ? .committed(goal) : .none
  }

  private func ended(_ server: ServerIndex, _ result: Result<Head?, DFSError>) {
    switch result {
    case .success(let head):
      logger.info(
        head.map { "\(server) is refilled, up to change \($0.number)" }
          ?? "\(server) needs no refill any more")
      perform(coordinator.refilled(server, head: head))
    case .failure(let error):
      logger.warning("\(server) was not refilled", metadata: ["cause": "\(error)"])
      if error.isOfTheDisk { refusals[server] = error }
      perform(coordinator.refilled(server, head: nil))
      wakeWhoIsEven()
    }
  }
}
