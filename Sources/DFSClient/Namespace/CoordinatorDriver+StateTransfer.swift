internal import DFSCore
internal import DFSReplication
internal import Logging

/// State transfers that the Coordinator asks for: each is a task of its own, whose end is told to the Coordinator.
extension CoordinatorDriver {
  /// One that is under way serves any later view of this client too.
  func transfer(_ server: ServerIndex, from source: ServerIndex, _ view: View) {
    guard !transfers.contains(server) else { return }
    transfers.insert(server)
    logger.info("refilling \(server) from \(source)")
    let others = current.intersection(servers.reachable).subtracting(ServerSet([server, source]))
    let transfer = StateTransfer(
      server: server, sources: [source] + others.servers, view: view, servers: servers,
      lossGuard: lossGuard, lossFound: { await self.lossFound($0) }
    ) { await self.aim(of: server) }
    Task {
      let result = await transfer.run()
      transfers.remove(server)
      ended(server, result)
    }
  }

  private func aim(of server: ServerIndex) -> StateTransfer.Aim {
    guard let goal = coordinator.goal else { return .unknown }
    return coordinator.lacking.contains(server) ? .committed(goal) : .none
  }

  private func ended(_ server: ServerIndex, _ result: Result<Head?, DFSError>) {
    switch result {
    case .success(let head):
      logger.info(
        head.map { "\(server) is refilled, up to change \($0.number)" }
          ?? "\(server) needs no transfer any more")
      perform(coordinator.refilled(server, head: head))
    case .failure(let error):
      logger.warning("\(server) was not refilled", metadata: ["cause": "\(error)"])
      if error.isOfTheDisk { refusals[server] = error }
      perform(coordinator.refilled(server, head: nil))
      wakeCaughtUp()
    }
  }
}
