import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation

/// Some commands of dfc, by a user of several, against relays of their own. Its number and the seed say
/// which commands, which changes, and which server is the hostile one.
struct Batch {
  /// What all batches of a run share.
  struct Setting: Sendable {
    let servers: FourServers
    let seed: UInt64
    let hostile: Int
    let users: Int
    /// Of what is put, and where the batches' own directories are.
    let files: String
    /// What changed answers may be made of.
    let others: [RawFrame]
    let tally: Relay.Tally
    let findings: Findings
  }

  /// Of one command, whose exchanges take 2 s at the most; some need many.
  static let commandSeconds = 120.0
  /// Of the last command, once all servers are honest.
  private static let lastSeconds = 60.0
  private static let commands = 12
  private static let singles = 6
  /// dfc keeps 8 MiB of contents, and a frame may have some more.
  private static let memoryBound = 600 << 20

  let setting: Setting
  let number: UInt64
  private let own: String
  private let user: String
  private let conf: String
  private let relays: [Relay]
  private var random: SplitMix64
  private var memory = MemoryCurve()
  private(set) var report = Report()

  /// What was done.
  struct Report {
    var processes = 0
    var seen: UInt64 = 0
    var commands = 0
    /// Resident, of any process.
    var peak = 0
    var longest = (seconds: 0.0, command: "")

    mutating func add(_ other: Report) {
      processes += other.processes
      seen += other.seen
      commands += other.commands
      peak = max(peak, other.peak)
      if other.longest.seconds > longest.seconds { longest = other.longest }
    }
  }

  /// - Parameter own: a directory that no other batch uses now.
  init(_ setting: Setting, _ number: UInt64, own: String) throws {
    self.setting = setting
    self.number = number
    self.own = own
    random = SplitMix64(seed: setting.seed &* 0x9e37_79b9_7f4a_7c15 &+ number)
    let account = Int(number % UInt64(setting.users))
    user = ServerFuzz.users[account]
    var ports = setting.servers.addresses.map(\.port)
    var relays: [Relay] = []
    for index in 0..<setting.hostile {
      // One and the same for a user, or it would be two that lie to this user.
      let server = (account + index) % ports.count
      let relay = try Relay(to: ports[server], tally: setting.tally)
      ports[server] = relay.port
      relays.append(relay)
    }
    self.relays = relays
    try? FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
    conf = try Recording.configuration(setting.servers, ports: ports, own, "dfc", user: user)
  }

  /// Most are several commands of one process; in the others each is a process, and more of the login's
  /// answers are changed.
  private var isPrompt: Bool { number % 8 != 7 }

  /// - Parameter isLasting: whether it goes on, as a prompt, until `isStopped`.
  mutating func run(isLasting: Bool, isStopped: () -> Bool) throws {
    // Few, so that commands come far, or many, so that several of one command are changed.
    let percent = random.pick([5, 15, 30, 50])
    defer { report.seen += seen }
    for relay in relays {
      relay.turn(
        Relay.Hostility(
          seed: random.next(), percent: percent, loginPercent: isPrompt ? 3 : 15,
          others: setting.others)
      )
    }
    defer { for relay in relays { relay.stop() } }
    if isPrompt {
      repeat { try prompt(isLasting, isStopped) } while isLasting && goesOn(isStopped)
    } else {
      for _ in 0..<Self.singles where goesOn(isStopped) { try single(isStopped) }
    }
  }

  private func goesOn(_ isStopped: () -> Bool) -> Bool {
    setting.findings.isEmpty && !isStopped()
  }

  // MARK: Processes

  private mutating func start(_ words: [String], input: String?) throws -> Child {
    report.processes += 1
    memory = MemoryCurve()
    return try Child("dfc", [conf, "--quiet"] + words, input: input, files: own)
  }

  private mutating func single(_ isStopped: () -> Bool) throws {
    let command = Command(&random, setting.files, own)
    let dfc = try start(command.line.split(separator: " ").map(String.init), input: "")
    watch(dfc, command, isStopped) { false }
    end(dfc, command)
  }

  private mutating func prompt(_ isLasting: Bool, _ isStopped: () -> Bool) throws {
    let dfc = try start([], input: nil)
    var command = Command.login
    var count = 0
    dfc.say(command.line)
    watch(dfc, command, isStopped) { dfc.isIdle }
    while dfc.isRunning, isLasting || count < Self.commands, goesOn(isStopped) {
      command = Command(&random, setting.files, own)
      count += 1
      let seen = seen
      dfc.say(command.line)
      watch(dfc, command, isStopped) { dfc.isIdle }
      // A fresh client listens sooner than one that tries again only later, or uses that server no more.
      guard isLasting || seen < self.seen && isConnected(within: 1) else { break }
    }
    // Only the first login may be the end of a prompt.
    let hasLeft = !dfc.isRunning && dfc.crash == nil && count > 0
    if hasLeft { find("dfc ended by itself after '\(command.line)'") }
    dfc.say("exit")
    watch(dfc, .exit, isStopped) { false }
    end(dfc, command)
  }

  private var seen: UInt64 { relays.reduce(0) { $0 + $1.seen } }

  /// Waits until the client is connected to what will answer it wrongly.
  private func isConnected(within seconds: Double) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while relays.count(where: \.isUsed) < min(relays.count, 3) {
      guard Date() < end else { return false }
      usleep(10_000)
    }
    return true
  }

  private mutating func end(_ dfc: Child, _ command: Command) {
    dfc.kill()
    _ = dfc.wait(seconds: 10)
    if let problem = memory.problem { find("dfc: \(problem)") }
  }

  private func find(_ problem: String) {
    setting.findings.add(problem, at: Findings.Place(batch: number, hostile: setting.hostile))
  }

  // MARK: Commands

  /// Waits until the command is done or its process has ended, and says what is wrong with that.
  private mutating func watch(
    _ dfc: Child, _ command: Command, _ isStopped: () -> Bool, isDone: () -> Bool
  ) {
    let start = Date()
    var (end, isHonest, pause) = (start.addingTimeInterval(Self.commandSeconds), false, 1_000.0)
    var sampled = Date.distantPast
    while dfc.isRunning, !isDone() {
      if sampled.timeIntervalSinceNow < -0.5 {
        sampled = Date()
        sample(dfc, command)
      }
      // The last one has honest servers, and so soon an end; with other findings it does not matter.
      if !setting.findings.isEmpty { return dfc.kill() }
      if !isHonest, isStopped() {
        isHonest = true
        for relay in relays { relay.turn(nil) }
        end = min(end, Date().addingTimeInterval(Self.lastSeconds))
      }
      guard Date() < end else {
        find("dfc '\(command.line)': not ended after \(Int(-start.timeIntervalSinceNow)) s")
        return dfc.kill()
      }
      usleep(UInt32(pause))
      pause = min(pause * 1.3, 50_000)
    }
    let seconds = -start.timeIntervalSinceNow
    if seconds > report.longest.seconds { report.longest = (seconds, command.line) }
    report.commands += 1
    if let crash = dfc.crash { return find("dfc '\(command.line)': \(crash)") }
    if setting.hostile == 1, let problem = command.contentProblem { find(problem) }
  }

  private mutating func sample(_ dfc: Child, _ command: Command) {
    let bytes = FourServers.residentBytes(process: dfc.id)
    memory.sample(bytes)
    report.peak = max(report.peak, bytes)
    if bytes > Self.memoryBound { find("dfc '\(command.line)': \(bytes >> 20) MiB resident") }
  }
}

/// A line for dfc, and what it must have got.
struct Command {
  /// Nothing: that line is read after the login.
  static let login = Command(line: "", got: nil)
  static let exit = Command(line: "exit", got: nil)

  let line: String
  /// A file that it makes, and the one whose content that has.
  let got: (path: String, original: String)?

  private init(line: String, got: (path: String, original: String)?) {
    self.line = line
    self.got = got
  }

  /// Any of those that `Recording.script` has, those seldom that take long.
  init(_ random: inout SplitMix64, _ files: String, _ own: String) {
    let back = "\(own)/back"
    unlink(back)
    let lines = [
      "mkdir -p a/b", "put \(files)/small a/", "put \(files)/small \(files)/middle a/",
      "put \(files)/middle a/b/", "list", "list", "list a/ --json", "list a/b/", "where large",
      "where a/small a/middle", "mv a/small a/b/moved", "mv a/b/moved a/small", "mv a/middle a/b/",
      "status", "status --json", "verify a/small", "verify a", "heal", "scrub", "rm -r a/b",
      "rm a/middle",
    ]
    let long = ["get -r a \(own)/tree", "verify --all", "put \(files)/large"]
    let gets = [("a/small", "small"), ("a/middle", "middle"), ("large", "large")]
    switch random.below(100) {
    case ..<75: self.init(line: random.pick(lines), got: nil)
    case ..<80: self.init(line: random.pick(long), got: nil)
    default:
      let (path, name) = gets[random.pick([0, 0, 0, 1, 1, 1, 2])]
      self.init(line: "get \(path) \(back)", got: (back, "\(files)/\(name)"))
    }
  }

  var contentProblem: String? {
    guard let got, let bytes = FileManager.default.contents(atPath: got.path),
      bytes != FileManager.default.contents(atPath: got.original)
    else { return nil }
    return "dfc '\(line)' got \(bytes.count) bytes that nobody wrote"
  }
}
