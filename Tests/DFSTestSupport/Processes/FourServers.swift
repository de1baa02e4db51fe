public import DFSConfiguration
public import DFSCore
internal import Foundation
internal import Synchronization

/// Four real `dfs` processes on free ports of loopback, over directories of their own, with a users
/// file beside them. The processes end with the object, the directory with `remove()`.
///
/// The program is `.build/debug/dfs` of this package, or what DFS_TEST_SERVER names.
public final class FourServers: Sendable {
  public static let user = "Alice"
  public static let password = "SimplePassword"

  /// Holds DFS1 … DFS4, dfs.conf, dfc.conf and the servers' logs.
  public let directory: String
  public let addresses: [ServerAddress]
  private let arguments: [String]
  private let withFailingFiles: Bool
  private let heedsCrashPoints: Bool
  private let processes: Mutex<[ServerIndex: Process]>
  private let ownUsers = Mutex<Set<ServerIndex>>([])

  /// Starts all four and waits until they accept connections.
  /// - Parameters:
  ///   - arguments: further arguments for every server.
  ///   - users: name and password of every account.
  ///   - withFailingFiles: whether the servers' files can be made to fail (`failingFiles(of:)`).
  ///   - crashPoints: whether the servers can be told to die (CrashOrders.swift).
  public init(
    arguments: [String] = [], users: [String: String] = [FourServers.user: FourServers.password],
    withFailingFiles: Bool = false, crashPoints: Bool = false
  ) async throws {
    directory = NSTemporaryDirectory() + "dfs-test-" + UUID().uuidString
    addresses = try Self.freePorts(Limits.serverCount).enumerated().map { index, port in
      ServerAddress(name: "DFS\(index + 1)", host: "127.0.0.1", port: port)
    }
    self.arguments = arguments
    self.withFailingFiles = withFailingFiles
    heedsCrashPoints = crashPoints
    processes = Mutex([:])
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try write(users.map { "\($0.key) \($0.value)\n" }.sorted().joined(), to: "dfs.conf")
    let servers = addresses.map { "Server \($0.name) \($0.host):\($0.port)\n" }.joined()
    try write(
      servers + "Username: \(Self.user)\nPassword: \(Self.password)\n", to: "dfc.conf")
    if withFailingFiles {
      for server in ServerIndex.all { try failingFiles(of: server).prepare() }
    }
    for server in ServerIndex.all { try start(server) }
    for server in ServerIndex.all { try await waitUntilListening(server) }
  }

  deinit { for process in processes.withLock({ $0.values }) { kill(process.processIdentifier, 9) } }

  // MARK: What a client needs

  public var configuration: ClientConfiguration { ClientConfiguration(servers: addresses) }
  public var configurationFile: String { directory + "/dfc.conf" }
  public var usersFile: String { directory + "/dfs.conf" }

  /// The users file that the server is started with: the one that all share, unless it was given
  /// its own.
  public func usersFile(of server: ServerIndex) -> String {
    ownUsers.withLock { $0.contains(server) } ? directory + "/dfs-\(server).conf" : usersFile
  }

  /// From its next start on the server has a users file of its own, a copy of the one of all.
  public func giveOwnUsersFile(_ server: ServerIndex) throws {
    _ = ownUsers.withLock { $0.insert(server) }
    try write(try String(contentsOfFile: usersFile, encoding: .utf8), to: "dfs-\(server).conf")
  }

  /// The switch by which files of the server's process fail; with `withFailingFiles` only.
  public func failingFiles(of server: ServerIndex) -> FailingFiles {
    FailingFiles(control: directory + "/\(server).failing")
  }

  public func credentials(_ user: String = FourServers.user) throws -> Credentials {
    Credentials(user: try UserName(user), password: Self.password)
  }

  /// The directory of one server.
  public func directory(of server: ServerIndex) -> String { directory + "/\(server)" }

  /// What the server has logged so far.
  public func log(of server: ServerIndex) -> String {
    let data = FileManager.default.contents(atPath: directory + "/\(server).log") ?? Data()
    return String(decoding: data, as: UTF8.self)
  }

  /// The memory that the server's process has resident, in bytes.
  public func residentBytes(of server: ServerIndex) -> Int {
    guard let pid = processes.withLock({ $0[server]?.processIdentifier }) else { return 0 }
    return Self.residentBytes(process: pid)
  }

  // MARK: What happens to servers

  /// Starts a server that is not running; it may not accept connections yet.
  public func start(_ server: ServerIndex) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments =
      [
        directory(of: server), String(addresses[server.value].port), "--users",
        usersFile(of: server),
      ] + arguments
    if heedsCrashPoints { process.environment = crashEnvironment(server) }
    let log = directory + "/\(server).log"
    if !FileManager.default.fileExists(atPath: log) { try write("", to: "\(server).log") }
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
    try output.seekToEnd()
    if withFailingFiles {
      process.environment = ProcessInfo.processInfo.environment.merging(
        failingFiles(of: server).environment
      ) { $1 }
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    try output.close()
    processes.withLock { $0[server] = process }
  }

  /// Starts a server and waits until it accepts connections.
  public func restart(_ server: ServerIndex) async throws {
    try start(server)
    try await waitUntilListening(server)
  }

  /// SIGKILL, and waits for the end.
  public func kill(_ server: ServerIndex) async throws { try await end(server, signal: SIGKILL) }

  /// SIGTERM, and waits for the end.
  public func stop(_ server: ServerIndex) async throws { try await end(server, signal: SIGTERM) }

  /// SIGSTOP: the connections stay, nothing is answered.
  public func freeze(_ server: ServerIndex) { send(SIGSTOP, to: server) }

  /// SIGCONT.
  public func thaw(_ server: ServerIndex) { send(SIGCONT, to: server) }

  /// Kills the servers and removes the directory.
  public func remove() async throws {
    for server in ServerIndex.all { try await kill(server) }
    try FileManager.default.removeItem(atPath: directory)
  }

  /// The process of a server that runs.
  public func process(of server: ServerIndex) -> Int32? {
    processes.withLock { $0[server].flatMap { $0.isRunning ? $0.processIdentifier : nil } }
  }

  /// Waits until a server has ended by itself.
  /// - Returns: its process, and whether it was SIGKILL.
  public func waitForEnd(
    of server: ServerIndex, within limit: Duration
  ) async throws -> (pid: Int32, wasKilled: Bool) {
    guard let process = processes.withLock({ $0[server] }) else {
      throw NeverHappened(description: "\(server) was not started")
    }
    try await eventually("\(server) ends", within: limit) { !process.isRunning }
    processes.withLock { $0[server] = nil }
    let wasKilled =
      process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL
    return (process.processIdentifier, wasKilled)
  }

  private func end(_ server: ServerIndex, signal: Int32) async throws {
    guard let process = processes.withLock({ $0.removeValue(forKey: server) }), process.isRunning
    else { return }
    kill(process.processIdentifier, signal)
    try await eventually("\(server) ends", within: .seconds(30)) { !process.isRunning }
  }

  /// Sends a signal and waits for nothing.
  public func send(_ signal: Int32, to server: ServerIndex) {
    guard let pid = processes.withLock({ $0[server]?.processIdentifier }) else { return }
    kill(pid, signal)
  }

  private func kill(_ pid: Int32, _ signal: Int32) { _ = Foundation.kill(pid, signal) }

  private func waitUntilListening(_ server: ServerIndex) async throws {
    let address = addresses[server.value]
    do {
      try await eventually("\(server) accepts connections", within: .seconds(20)) {
        Self.accepts(port: address.port)
      }
    } catch {
      throw NeverHappened(description: "\(error)\n\(log(of: server))")
    }
  }

  private func write(_ text: String, to name: String) throws {
    let path = directory + "/" + name
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
  }

  private static var program: String {
    if let path = ProcessInfo.processInfo.environment["DFS_TEST_SERVER"] { return path }
    return BuiltProgram.path("dfs")
  }
}
