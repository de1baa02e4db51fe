public import DFSClient
internal import DFSConfiguration
public import DFSCore
internal import DFSSystem
internal import Dispatch
internal import Glibc
public import Logging
internal import Synchronization

/// A mounted file system: from mounting to the end of its draining.
public final class Mount: Sendable {
  /// Where it is mounted, as `MountConfiguration` has it.
  public let mountpoint: String
  private let session: FuseSession
  private let requests: KernelRequests
  let fileSystem: FileSystem
  private let invalidator: Invalidator
  private let logger: Logger

  private init(
    _ service: any FileService, _ configuration: MountConfiguration, source: String,
    _ logger: Logger
  ) {
    mountpoint = configuration.mountpoint
    self.logger = logger
    fileSystem = FileSystem(
      service: service, configuration: configuration, source: source, logger: logger)
    requests = KernelRequests(
      fileSystem, timeout: .seconds(configuration.callTimeoutSeconds))
    session = FuseSession(requests, configuration, logger: logger)
    invalidator = Invalidator(fileSystem.kernel, service)
  }

  /// Mounts `service` and returns once the mount answers. A mount that a killed process left there
  /// is taken away first.
  /// - Parameter source: what `df` shows as the file system, unless an option names it.
  public static func start(
    _ service: any FileService, _ configuration: MountConfiguration, source: String,
    logger: Logger
  ) async throws(DFSError) -> Mount {
    let path = configuration.mountpoint
    try await prepare(path, logger)
    let mount = Mount(service, configuration, source: source, logger)
    try await Blocking.run { () throws(DFSError) in
      try mount.session.start(options: configuration.options.fuseOptions(source: source))
    }
    do {
      try await mount.untilAnswering()
    } catch {
      await mount.stop(within: .seconds(1))
      throw error
    }
    mount.invalidator.start()
    logger.info("mounted on \(path)")
    return mount
  }

  private static func prepare(_ path: String, _ logger: Logger) async throws(DFSError) {
    let finding = try await Blocking.run(within: .seconds(5)) { () throws(DFSError) in
      try Mountpoint.examine(path)
    }
    switch finding {
    case .free: return
    case .mounted:
      throw DFSError(
        .busy,
        "\(path.printable) is mounted already; unmount it with: "
          + "dfs-mount --unmount '\(path.printable)'")
    case .stale:
      logger.warning("a mount that a killed process left on \(path) is taken away")
      try await Blocking.run { () throws(DFSError) in
        try Mountpoint.detach(path, lazily: true)
      }
    }
  }

  private func untilAnswering() async throws(DFSError) {
    let path = mountpoint
    try await Blocking.run(within: .seconds(5)) { () throws(DFSError) in
      guard access(path.systemPath, F_OK) == 0 else {
        throw .system("\(path.printable) was mounted, but does not answer")
      }
    }
    raiseReadAhead()
    if let number = Mountpoint.number(of: mountpoint) {
      fileSystem.mountID.withLock { $0 = number }
    }
    if let device = Mountpoint.device(of: mountpoint) {
      fileSystem.device.withLock { $0 = device }
    }
  }

  /// The kernel reads ahead 128 KiB by default; only root may raise that.
  private func raiseReadAhead() {
    guard let device = Mountpoint.device(of: mountpoint),
      let file = fopen("/sys/class/bdi/\(device)/read_ahead_kb", "w")
    else { return }
    fputs("1024", file)
    fclose(file)
  }

  // MARK: Ending

  /// Returns when the file system is unmounted, by whomever.
  public func untilUnmounted() async { await session.untilUnmounted() }

  /// Unmounts, though files be open, and waits for what is being stored.
  public func stop(within limit: Duration) async {
    let path = mountpoint
    do {
      try await Blocking.run(within: .seconds(5)) { () throws(DFSError) in
        try Mountpoint.detach(path, lazily: true)
      }
    } catch { logger.warning("\(error)") }
    await finish(within: limit)
  }

  /// Waits for what is being stored, stores what is still open, and says what could not be stored;
  /// after unmounting.
  /// - Parameter limit: how long it may take without progress.
  public func finish(within limit: Duration) async {
    let end = ContinuousClock.now + limit
    // Each has its own limit.
    while requests.storesGoOn || fileSystem.closing.withLock({ $0 }) > 0 && .now < end {
      try? await Task.sleep(for: .milliseconds(20))
    }
    await fileSystem.drain(within: limit)
    while requests.changesGoOn, .now < end { try? await Task.sleep(for: .milliseconds(20)) }
    invalidator.stop()
    await session.untilUnmounted(within: .milliseconds(500))
    requests.refuseRest()
    fileSystem.kernel.detach()
    session.destroy()
    logger.info("unmounted \(mountpoint)")
  }
}
