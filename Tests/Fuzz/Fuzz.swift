import CLinux
import DFSConfiguration
import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Synchronization

/// dfs-fuzz server|client|siege [--inputs N] [--seed S] [--from B] [--latency S] [--hostile N] [--seconds S]: mutated
/// frames of recorded sessions against the real programs, or many hostile users at once; status 1 if one crashed,
/// hung, grew or kept others waiting.
/// `scripts/fuzz` builds and runs it.
@main
struct Fuzz {
  static func main() async {
    signal(SIGPIPE, SIG_IGN)
    openManyFiles()
    do {
      let options = try Options(Array(CommandLine.arguments.dropFirst()))
      guard options.target != .siege else { return try await siege(options.seconds) }
      say("fuzz \(options.target.rawValue) --inputs \(options.inputs) --seed \(options.seed)")
      let findings = try await run(options)
      guard findings.isEmpty else {
        say(
          "again: scripts/fuzz \(options.target.rawValue) --inputs \(options.inputs) --seed "
            + "\(options.seed) \(findings.place?.options ?? "--from \(options.from)")")
        exit(1)
      }
    } catch {
      FileHandle.standardError.write(Data("fuzz: \(error)\n".utf8))
      exit(error is Options.Refusal ? 64 : 2)
    }
  }

  private static func run(_ options: Options) async throws -> Findings {
    setenv("DFS_TEST_SERVER", Child.program("dfs"), 0)
    let names = ServerFuzz.users + [FourServers.user, ServerFuzz.watcher]
    let servers = try await FourServers(users: try verifiers(of: names))
    let findings = Findings()
    let files = servers.directory + "/fuzz"
    try FileManager.default.createDirectory(atPath: files, withIntermediateDirectories: true)
    let recording = try await Recording(servers, files)
    say(
      "recorded \(recording.requests.count) requests and \(recording.answers.count) answers of the "
        + "kinds \(recording.kinds)")
    switch options.target {
    case .siege: break
    case .server: try await server(options, servers, recording, findings)
    case .client:
      let changed = try ClientFuzz(
        options: options, servers: servers, recording: recording, files: files, findings: findings
      ).run()
      say("\(changed) answers changed")
    }
    if findings.isEmpty { try await servers.remove() } else { say("files: \(servers.directory)") }
    return findings
  }

  private static func openManyFiles() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// Logins are not what takes the time: the users' passwords are hashed as seldom as a client accepts.
  private static func verifiers(of names: [String]) throws -> [String: String] {
    let verifier = try ScramVerifier(password: FourServers.password, iterations: 4096).text
    return Dictionary(uniqueKeysWithValues: names.map { ($0, verifier) })
  }

  /// Ends with 1 if an honest user beside them met an error, or waited.
  private static func siege(_ seconds: UInt64) async throws {
    setenv("DFS_TEST_SERVER", Child.program("dfs"), 0)
    let names = (0..<5).map { "fuzz\($0)" } + [FourServers.user]
    let servers = try await FourServers(
      users: Dictionary(uniqueKeysWithValues: names.map { ($0, FourServers.password) }))
    let findings = Findings()
    let place = servers.directory + "/mount"
    guard let mounted = try MountWork.start(servers.configurationFile, place, servers.directory)
    else { throw FuzzFailure("there is no /dev/fuse, which the honest user's mount needs") }
    let siege = Siege(servers, findings)
    siege.start()
    let curves = Mutex([MemoryCurve](repeating: MemoryCurve(), count: Limits.serverCount))
    let end = Date().addingTimeInterval(Double(seconds))
    Thread.detachNewThread {
      while Date() < end, findings.isEmpty {
        for server in ServerIndex.all {
          if servers.process(of: server) == nil { findings.crashed(crash(servers, server)) }
          curves.withLock { $0[server.value].sample(servers.residentBytes(of: server)) }
        }
        usleep(100_000)
      }
    }
    let (rounds, longest, call) = siege.honest(place, until: end)
    siege.stop()
    for (server, curve) in zip(ServerIndex.all, curves.withLock { $0 }) {
      if let problem = curve.problem { findings.add("\(server): \(problem)") }
      say("\(server): \(curve.summary) resident")
    }
    say(
      "siege of \(seconds) s: \(siege.attacks) attacks; the honest user made \(rounds) files, the longest "
        + "call took \(Int(longest * 1000)) ms (\(call)); \(findings.all.count) found")
    umount2(place, Int32(MNT_DETACH))
    mounted.child.kill(SIGTERM)
    _ = mounted.child.wait(seconds: 10)
    guard findings.isEmpty else {
      say("files: \(servers.directory)")
      exit(1)
    }
    try await servers.remove()
  }

  /// Where it was, of all that a server that ended says.
  private static func crash(_ servers: FourServers, _ server: ServerIndex) -> String {
    let lines = servers.log(of: server).split(separator: "\n")
    let telling = lines.filter { line in
      ["Fatal error", "Program crashed", ".swift:"].contains { line.contains($0) }
    }
    return "the server ended:\n"
      + (telling.isEmpty ? lines.suffix(20) : telling.prefix(12)).joined(separator: "\n")
  }

  private static func server(
    _ options: Options, _ servers: FourServers, _ recording: Recording, _ findings: Findings
  ) async throws {
    let port = servers.addresses[0].port
    let target = ServerIndex.all[0]
    let watcher = Watcher(port: port, seconds: options.latency, findings: findings)
    let fuzz = ServerFuzz(options, port: port, recording: recording, findings: findings)
    try fuzz.check()
    let start = Date()
    let ended = Mutex(false)
    Thread.detachNewThread {
      fuzz.run()
      ended.withLock { $0 = true }
    }
    var curve = MemoryCurve()
    while !ended.withLock({ $0 }) {
      if servers.process(of: target) == nil {
        findings.crashed(crash(servers, target))
      }
      curve.sample(servers.residentBytes(of: target))
      try await Task.sleep(for: .milliseconds(50))
    }
    if servers.process(of: target) == nil {
      findings.crashed(crash(servers, target))
    }
    watcher.stop()
    if let problem = curve.problem { findings.add("dfs: \(problem)") }
    let seconds = Date().timeIntervalSince(start)
    say(
      "\(fuzz.inputs) inputs, batches \(options.from) to \(fuzz.batch), in \(Int(seconds)) s; another user waited \(Int(watcher.longest * 1000)) "
        + "ms at most; the server had \(curve.summary) resident")
  }
}

/// What a run is to be.
struct Options: Sendable {
  struct Refusal: Error, CustomStringConvertible { let description: String }
  enum Target: String { case server, client, siege }

  let target: Target
  var inputs: UInt64 = 100_000
  var seed = UInt64.random(in: 0..<1_000_000)
  /// The first batch; a finding names its own.
  var from: UInt64 = 0
  /// Seconds that another user may wait.
  var latency = 1.0
  /// How long a siege takes.
  var seconds: UInt64 = 300
  /// How many servers are hostile; nil: one, then four.
  var hostile: UInt64?

  init(_ words: [String]) throws {
    guard let target = words.first.flatMap({ Target(rawValue: $0) }) else { throw Self.refusal }
    self.target = target
    var words = words.dropFirst()
    while let option = words.popFirst() {
      guard let word = words.popFirst() else { throw Self.refusal }
      switch option {
      case "--inputs": inputs = try Self.number(word)
      case "--seed": seed = try Self.number(word)
      case "--from": from = try Self.number(word)
      case "--latency": latency = Double(try Self.number(word))
      case "--seconds": seconds = try Self.number(word)
      case "--hostile": hostile = try Self.number(word)
      default: throw Self.refusal
      }
    }
    guard hostile.map({ (1...4).contains($0) }) ?? true else { throw Self.refusal }
  }

  private static func number(_ word: String) throws -> UInt64 {
    guard let number = UInt64(word) else { throw refusal }
    return number
  }

  private static let refusal = Refusal(
    description:
      "usage: dfs-fuzz server|client [--inputs N] [--seed S] [--from B] [--latency SECONDS] "
      + "[--hostile N], or dfs-fuzz siege [--seconds S]")
}

/// What was found; the first ends the run.
final class Findings: Sendable {
  /// Where a run that looks at it again begins.
  struct Place: CustomStringConvertible {
    let batch: UInt64
    let hostile: Int
    var description: String { "batch \(batch), \(hostile) hostile" }
    var options: String { "--from \(batch) --hostile \(hostile)" }
  }

  private let state = Mutex((all: [String](), isCrashed: false, place: Place?.none))

  var all: [String] { state.withLock { $0.all } }
  var isEmpty: Bool { all.isEmpty }
  var isCrashed: Bool { state.withLock { $0.isCrashed } }

  /// Of the first one.
  var place: Place? { state.withLock { $0.place } }

  func add(_ finding: String, at place: Place? = nil) {
    state.withLock { state in
      if state.all.isEmpty { state.place = place }
      state.all.append(finding)
    }
    say("FOUND \(place.map { "\($0): " } ?? "")\(finding)")
  }

  func crashed(_ finding: String) {
    let isFirst = state.withLock { state in
      defer { state.isCrashed = true }
      return !state.isCrashed
    }
    if isFirst { add(finding) }
  }
}

/// Prints at once, also into a file.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
