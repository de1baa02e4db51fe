internal import DFSCore
internal import DFSReplication
internal import Logging

/// What the driver does about a truth that one server alone tells and that would drop most of what others have.
extension CoordinatorDriver {
  /// What one server alone says is brought to the others from now on, whatever they lose.
  func acceptLoss() { acceptsLoss = true }

  /// Nil if two servers vouch for the truth of the view that is being taken, or a person does.
  var lossGuard: LossGuard? {
    guard !acceptsLoss, let lone = coordinator.loneWitness else { return nil }
    return LossGuard(source: lone, servers: servers)
  }

  /// Changes that one server alone tells of are brought to another only if they leave it most of what it has.
  func deliver(
    _ messages: ArraySlice<(NamespaceRequest, UInt64)>, _ changes: [Change], to server: ServerIndex,
    after lossGuard: LossGuard
  ) {
    var dropped = DroppedKeys()
    for change in changes { dropped.perform(change.writes) }
    guard dropped.count > LossGuard.allowance else { return send(messages, to: server) }
    Task { [dropped = dropped.count] in
      do throws(DFSError) {
        if let loss = try await lossGuard.loss(of: server, dropping: dropped) {
          inFlight[server.value] -= messages.count
          return lossFound(loss)
        }
        send(messages, to: server)
      } catch {
        inFlight[server.value] -= messages.count
        for (_, token) in messages { perform(coordinator.undelivered(token: token)) }
      }
    }
  }

  func lossFound(_ error: DFSError) {
    loss = error
    logger.warning("one server's rows are not believed", metadata: ["cause": "\(error)"])
    perform(coordinator.refuseTruth())
  }
}
