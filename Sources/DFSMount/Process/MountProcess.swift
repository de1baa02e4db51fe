internal import CLinux
internal import DFSClient
public import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import Dispatch
internal import Glibc
public import Logging
internal import UnixSignals

/// A process that serves one mount: connects, mounts, and serves until it is unmounted or told to
/// end.
public struct MountProcess: Sendable {
  /// A mount with fewer servers could not even be read.
  private static let minimumServers = 2

  private var client: ClientConfiguration
  private let mount: MountConfiguration
  private let logger: Logger

  /// A process to be run; write policy and healing are those of `mount`, the latter if it says so.
  public init(_ client: ClientConfiguration, _ mount: MountConfiguration, logger: Logger) {
    self.client = client
    self.client.writes = mount.writes
    self.client.heals = mount.options.heals ?? client.heals
    self.mount = mount
    self.logger = logger
  }

  /// What is told of a mount, in this order.
  public enum State: Hashable, Sendable {
    /// The mount answers.
    case mounted
    /// It is unmounted, or about to be; what was written is still being stored.
    case ending
  }

  /// - Parameter tell: called when the mount answers, and when it begins to end.
  public func run(
    _ credentials: RenewableCredentials, tell: @Sendable (State) -> Void
  ) async throws {
    prepare()
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    let service = try await DFSClient.connect(
      client, credentials: credentials, minimumServers: Self.minimumServers, logger: logger)
    let mounted: Mount
    do {
      mounted = try await Mount.start(
        service, mount, source: "\(credentials.credentials.user)@\(client.cluster)", logger: logger)
    } catch {
      await service.close()
      throw error
    }
    await noteServers(service)
    if client.heals { service.healInBackground() }
    tell(.mounted)
    let memory = MemoryReturn()
    await serve(mounted, signals, ending: { tell(.ending) })
    memory.stop()
    await service.close()
  }

  /// A mount has many files open, and outlives the directory that it was started in.
  private func prepare() {
    signal(SIGPIPE, SIG_IGN)
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      limit.rlim_cur = limit.rlim_max
      _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    chdir("/")
    // Buffers of a MiB come and go on many threads: few arenas keep little of them.
    mallopt(M_ARENA_MAX, 2)
  }

  private func noteServers(_ service: DFSClient) async {
    for state in await service.serverStates() where !state.isUp {
      let problem = state.problem.map { "\($0)" } ?? "no answer"
      logger.warning(
        "\(state.server) at \(state.address.host):\(state.address.port) is not up: \(problem)")
    }
  }

  /// Serves until the kernel says that nothing is mounted any more, or a signal comes.
  private func serve(
    _ mounted: Mount, _ signals: UnixSignalsSequence, ending: () -> Void
  ) async {
    let limit = Duration.seconds(mount.callTimeoutSeconds)
    let (events, event) = AsyncStream.makeStream(of: UnixSignal?.self)
    let tasks = [
      Task {
        await mounted.untilUnmounted()
        event.yield(nil)
      },
      // Until the end, so that a second signal does not interrupt what is being stored.
      Task { for await signal in signals { event.yield(signal) } },
    ]
    defer { for task in tasks { task.cancel() } }
    let signal = await events.first { _ in true } ?? nil
    ending()
    if let signal {
      logger.notice("\(signal): unmounting \(mounted.mountpoint)")
      await mounted.stop(within: limit)
    } else {
      await mounted.finish(within: limit)
    }
  }
}

/// Gives memory that was freed back to the system: glibc by itself returns only what is at the end of
/// an arena, and one small block that stays keeps all that lies before it (malloc_trim(3)).
private struct MemoryReturn {
  /// How often it is looked at, and how much must be free.
  private static let seconds = 15
  private static let freeBytes = 16 << 20

  private let timer: any DispatchSourceTimer

  init() {
    timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
    timer.setEventHandler { if mallinfo2().fordblks > Self.freeBytes { malloc_trim(0) } }
    timer.schedule(
      deadline: .now() + .seconds(Self.seconds), repeating: .seconds(Self.seconds),
      leeway: .seconds(5))
    timer.resume()
  }

  func stop() { timer.cancel() }
}
