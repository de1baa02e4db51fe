import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Glibc
import Synchronization

/// The real system of a run: four servers, a relay before them, and for each client a configuration
/// that names the relay's ports. All of it is in one directory.
final class Cluster: Sendable {
  /// A machine with the system's programs: a mount, or one that only calls dfc.
  struct Place: Sendable {
    let number: Int
    let title: String
    let configuration: String
    let isQuorum: Bool
    /// Where it mounts.
    let mount: String?
  }

  static let callTimeoutSeconds = 10

  /// A place that is to be made.
  struct Plan: Sendable {
    let title: String
    let isQuorum: Bool
    let mounts: Bool

    /// Some need all servers for a write, some three.
    static let histories = [
      Plan(title: "mount1", isQuorum: false, mounts: true),
      Plan(title: "mount2", isQuorum: true, mounts: true),
      Plan(title: "mount3", isQuorum: true, mounts: true),
      Plan(title: "dfc1", isQuorum: false, mounts: false),
      Plan(title: "dfc2", isQuorum: true, mounts: false),
    ]
    /// Mounts and a dfc at undisturbed work.
    static func sharing(mounts: Int) -> [Plan] {
      (1...mounts).map { Plan(title: "mount\($0)", isQuorum: false, mounts: true) }
        + [Plan(title: "dfc1", isQuorum: false, mounts: false)]
    }
    /// The mount of the programs, and one to look from.
    static let programs = [
      Plan(title: "mount1", isQuorum: true, mounts: true),
      Plan(title: "mount2", isQuorum: true, mounts: true),
    ]
  }

  let directory: String
  let servers: FourServers
  let relay: Relay
  let places: [Place]
  private let callTimeoutSeconds: Int
  private let mountOptions: String?
  private let mounts = Mutex<[Int: pid_t]>([:])

  var mountPlaces: [Place] { places.filter { $0.mount != nil } }
  var dfcPlaces: [Place] { places.filter { $0.mount == nil } }

  /// - Parameter mountOptions: `-o` of every dfs-mount.
  init(
    _ plans: [Plan], in directory: String, mountOptions: String?,
    callTimeoutSeconds: Int = Cluster.callTimeoutSeconds
  ) async throws {
    self.directory = directory
    self.mountOptions = mountOptions
    self.callTimeoutSeconds = callTimeoutSeconds
    setenv("TMPDIR", directory, 1)
    setenv("DFS_TEST_SERVER", Programs.path("dfs"), 1)
    servers = try await FourServers()
    relay = try Relay(clients: plans.count, servers: servers.addresses.map(\.port))
    places = plans.enumerated().map { number, plan in
      Place(
        number: number, title: plan.title, configuration: "\(directory)/\(plan.title).conf",
        isQuorum: plan.isQuorum, mount: plan.mounts ? "\(directory)/\(plan.title)" : nil)
    }
    for place in places { try configure(place) }
  }

  private func configure(_ place: Place) throws {
    let lines = ServerIndex.all.map { server in
      let port = relay.ports[RelayLink(client: place.number, server: server)] ?? 0
      return "Server \(server) 127.0.0.1:\(port)\n"
    }
    let text =
      lines.joined() + """
        Username: \(FourServers.user)
        Password: \(FourServers.password)
        Writes \(place.isQuorum ? "quorum" : "all")
        Call-Timeout \(callTimeoutSeconds)s
        Cache-Directory \(directory)/\(place.title).cache

        """
    try text.write(toFile: place.configuration, atomically: true, encoding: .utf8)
    chmod(place.configuration, 0o600)
    for folder in [place.mount, "\(directory)/\(place.title).cache"].compactMap({ $0 }) {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
  }

  // MARK: Mounts

  /// Mounts, as a user does it, and tries again while too few servers answer.
  func startMount(_ place: Place, within limit: Duration = .seconds(60)) async throws {
    guard let mount = place.mount else { return }
    try await eventually("\(place.title) is mounted", within: limit) {
      let status = try await launch(place, mount)
      guard [0, 5].contains(status) else {
        throw TortureFailure("\(place.title) was not mounted: status \(status)")
      }
      return status == 0
    }
    guard let process = Self.process(serving: mount) else {
      throw TortureFailure("\(place.title) is mounted, but no process serves it")
    }
    mounts.withLock { $0[place.number] = process }
  }

  /// - Returns: the exit status of dfs-mount, which leaves a process in the background.
  private func launch(_ place: Place, _ mount: String) async throws -> Int32 {
    let log = "\(directory)/\(place.title).log"
    let options = mountOptions.map { ["-o", $0] } ?? []
    let process = try ChildProcess.start(
      Programs.path("dfs-mount"), options + [place.configuration, mount, "--log-file", log],
      environment: ["HOME": directory], errors: .file(log + ".start"))
    var status: Int32?
    try await eventually("dfs-mount ends", within: .seconds(60)) {
      status = process.endIfEnded()
      return status != nil
    }
    return status ?? -1
  }

  private static func process(serving mount: String) -> pid_t? {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { pid_t($0) }.first { process in
      let words = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
      let list = words.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      return list.contains("--foreground") && list.contains(mount)
    }
  }

  /// SIGKILL, and waits for the end.
  /// - Returns: false if it did not end; its connection to the kernel is then taken from it.
  func killMount(_ place: Place) async throws -> Bool {
    guard let process = mounts.withLock({ $0.removeValue(forKey: place.number) }) else {
      return true
    }
    kill(process, SIGKILL)
    do {
      try await eventually("\(place.title) ends") { !Self.runs(process) }
      return true
    } catch {
      Guard.unmount(place.mount ?? "")
      try await eventually("\(place.title) ends without its mount") { !Self.runs(process) }
      return false
    }
  }

  /// Whether the mount's process ended by itself.
  func hasEnded(_ place: Place) -> Bool {
    mounts.withLock { mounts in mounts[place.number].map { !Self.runs($0) } ?? false }
  }

  /// A process of which threads are left still has its mount.
  private static func runs(_ process: pid_t) -> Bool {
    let threads =
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
    return threads.count > 1 || Guard.state(of: process) != "Z"
  }

  // MARK: Links

  func links(to servers: [ServerIndex], of clients: [Int]? = nil) -> [RelayLink] {
    (clients ?? places.map(\.number)).flatMap { client in
      servers.map { RelayLink(client: client, server: $0) }
    }
  }
}
