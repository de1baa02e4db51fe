internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
internal import DFSServer
internal import DFSStore
import DFSSystem
internal import Glibc
internal import Logging
internal import ServiceLifecycle
internal import UnixSignals

/// Serving a directory: the arguments of `dfs DIR PORT`, and its life from start to signal.

/// `dfs DIR PORT`
struct Serve: AsyncParsableCommand {
  enum Sync: String, ExpressibleByArgument, CaseIterable { case close, always }

  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a directory on a port (what `dfs DIR PORT` does).",
    usage: "dfs DIR PORT [options]", discussion: ExitStatus.help)

  @Argument(help: "The directory; its last component is the server's name.", completion: .directory)
  var directory: String

  @Argument(help: "The TCP port; 0 takes a free one.")
  var port: UInt16

  @Option(help: "Listen on this address of the machine.")
  var address = "127.0.0.1"

  @Option(help: "The users file. (default: dfs.conf beside DIR, else in DIR)")
  var users: String?

  @Option(help: "The name of the cluster; clients must name the same.")
  var cluster = "default"

  @Option(
    help: "A certificate in PEM, for encrypted connections. (default: one that DIR has)",
    completion: .file())
  var tlsCertificate: String?

  @Option(help: "The key of --tls-certificate, in PEM.", completion: .file())
  var tlsKey: String?

  @Flag(help: "Let clients on other machines connect unencrypted, if they say 'Encryption off'.")
  var plaintext = false

  @Option(
    help: """
      close: what was closed without fsync is on stable storage within one second; always: before \
      it is acknowledged.
      """)
  var sync = Sync.close

  @Option(help: "Connections that are logged in at the same time (1 to 1000000).")
  var connections = 4096

  @Option(
    help:
      "Connections before their login at the same time; for one more the oldest goes (2 to 1000000)."
  )
  var strangers = 1024

  @Option(help: "MiB of requests and answers of one connection under way (1 to 1024).")
  var windowMebibytes = 8

  @Option(help: "MiB of requests and answers of all connections under way (16 to 1048576).")
  var memoryMebibytes = 512

  @Option(help: "Seconds that a stop waits for what is under way (0 to 3600).")
  var drainSeconds = 10

  @Option(help: "Days in which all copies are read back once (0 to 365; 0: only when asked).")
  var scrubDays = 7

  @Option(help: "MiB a second that this reads (1 to 65536).")
  var scrubMebibytes = 8

  @Option(help: "Seconds for which a replaced version is kept for readers (0 to 86400).")
  var keepSeconds = 60

  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = Logger.Level.info

  @Option(help: "text or json: one line an event, on standard error.")
  var logFormat = LogOutput.Format.text

  func validate() throws {
    try check("--connections", connections, 1...1_000_000)
    try check("--strangers", strangers, 2...1_000_000)
    try check("--window-mebibytes", windowMebibytes, 1...1024)
    try check("--memory-mebibytes", memoryMebibytes, 16...1_048_576)
    try check("--drain-seconds", drainSeconds, 0...3600)
    try check("--scrub-days", scrubDays, 0...365)
    try check("--scrub-mebibytes", scrubMebibytes, 1...65536)
    try check("--keep-seconds", keepSeconds, 0...86_400)
    guard (tlsCertificate == nil) == (tlsKey == nil) else {
      throw ValidationError("--tls-certificate and --tls-key belong together; give both or neither")
    }
  }

  private func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
    guard range.contains(value) else {
      throw ValidationError(
        "\(name) \(value): it must be \(range.lowerBound) to \(range.upperBound)")
    }
  }

  func run() async throws {
    let logger = LogOutput(level: logLevel, format: logFormat).logger(label: "dfs")
    signal(SIGPIPE, SIG_IGN)
    raiseDescriptorLimit()
    try await reporting {
      let server = try await Server.start(options, logger: logger)
      let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
          services: [
            .init(service: Announced(server: server, drainSeconds: drainSeconds, logger: logger))
          ],
          gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
      try await group.run()
    }
  }

  private var options: ServerOptions {
    var options = ServerOptions(directory: directory, port: Int(port))
    options.address = address
    options.usersFile = users
    options.cluster = cluster
    options.tlsCertificate = tlsCertificate
    options.tlsKey = tlsKey
    options.allowsPlaintext = plaintext
    options.store.syncAlways = sync == .always
    options.connections = connections
    options.strangers = strangers
    options.bytesPerConnection = windowMebibytes << 20
    options.bytes = memoryMebibytes << 20
    options.drainSeconds = drainSeconds
    options.store.scrubDays = scrubDays
    options.store.scrubBytesPerSecond = UInt64(scrubMebibytes) << 20
    options.store.keepReplacedSeconds = Int64(keepSeconds)
    return options
  }

  /// Connections and open files each take a descriptor.
  private func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// The server, which says where it listens once a signal would stop it gracefully.
private struct Announced: ServiceLifecycle.Service {
  let server: Server
  let drainSeconds: Int
  let logger: Logger

  func run() async throws {
    let place = "listens on \(server.address):\(server.port)"
    print("\(server.name) \(place)")
    if !server.isLoopbackOnly { print("\(server.name) certificate \(server.fingerprint)") }
    fflush(nil)
    let manager = ServiceManager()
    tell { () throws(DFSError) in try manager.ready(place) }
    try await withGracefulShutdownHandler {
      try await server.run()
    } onGracefulShutdown: {
      tell { () throws(DFSError) in
        try manager.stopping("finishing what is under way", within: drainSeconds + 10)
      }
    }
  }

  private func tell(_ body: () throws(DFSError) -> Void) {
    do throws(DFSError) { try body() } catch { logger.warning("\(error)") }
  }
}
