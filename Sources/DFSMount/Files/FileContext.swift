internal import DFSClient
internal import DFSCore
internal import Logging

/// What the open files of one mount share.
struct FileContext: Sendable {
  let service: any FileService
  let kernel: KernelCache
  let spools: SpoolBudget
  let writes: WritePolicy
  let layers: LayerPolicy
  /// The name of this machine.
  let host: String
  let logger: Logger
  /// Shared with the operations.
  let refusals: RefusalLog
  /// How long a write waits for a server that was just lost.
  var patience = Duration.zero
  /// Locks among all mounts; nil: they are the kernel's.
  var locks: (any LockService)?

  init(
    service: any FileService, kernel: KernelCache, spools: SpoolBudget, writes: WritePolicy,
    layers: LayerPolicy = .auto, host: String, logger: Logger, patience: Duration = .zero
  ) {
    self.service = service
    self.kernel = kernel
    self.spools = spools
    self.writes = writes
    self.layers = layers
    self.host = host
    self.logger = logger
    self.patience = patience
    refusals = RefusalLog(logger)
  }

  /// What the kernel knows.
  var nodes: NodeTable { kernel.nodes }

  /// Refuses a write at its begin where it could only fail at its end: with `writes = all` every
  /// server must be up.
  func checkWritable() async throws(DFSError) {
    guard writes == .all else { return }
    var down = await service.serverStates().filter { !$0.isUp }
    guard !down.isEmpty else { return }
    let deadline = ContinuousClock.now + patience
    repeat {
      // Perhaps it is back, and only not connected to again yet; or it is starting again.
      await service.reconnect(within: .milliseconds(400))
      down = await service.serverStates().filter { !$0.isUp }
      guard !down.isEmpty else { return }
      try? await Task.sleep(for: .milliseconds(50))
    } while !Task.isCancelled && .now < deadline && down.contains(where: \.mayReturn)
    let reasons = down.map { $0.problem.map { "\($0)" } ?? "\($0.server) is down" }
    throw DFSError(
      .readOnly,
      "with writes = all every server must be up; \(Limits.serverCount - down.count) of "
        + "\(Limits.serverCount) are; " + reasons.joined(separator: "; "))
  }
}
