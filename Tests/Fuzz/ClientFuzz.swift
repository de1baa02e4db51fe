import DFSCore
import DFSTestSupport
import Foundation
import Synchronization

/// Mutated answers of one hostile server, then of four, for the real dfc and the real mount.
struct ClientFuzz {
  let options: Options
  let servers: FourServers
  let recording: Recording
  let files: String
  let findings: Findings

  /// Of one command of dfc, whose exchanges take 2 s at the most; some need many.
  static let commandSeconds = 120.0
  private static let workers = 6
  /// Of a round of calls on the mount: the bound of one call, and the process has to notice.
  private static let callSeconds = 60.0

  /// - Returns: answers that were changed.
  func run() throws -> UInt64 {
    var changed: UInt64 = 0
    let numbers = options.hostile.map { [Int($0)] } ?? [1, 4]
    for hostile in numbers where findings.isEmpty {
      let inputs = options.inputs / UInt64(numbers.count)
      let count = try attack(hostile, inputs)
      say("\(hostile) hostile: \(count) answers changed")
      changed += count
    }
    return changed
  }

  private func attack(_ hostile: Int, _ inputs: UInt64) throws -> UInt64 {
    let relays = try servers.addresses.prefix(hostile).map { try Relay(to: $0.port) }
    defer { for relay in relays { relay.stop() } }
    let ports = relays.map(\.port) + servers.addresses.dropFirst(hostile).map(\.port)
    let conf = try Recording.configuration(servers, ports: ports, files, "hostile\(hostile)")
    let mount = try MountWork.start(conf, "\(files)/mount\(hostile)", files)
    if mount == nil { say("no /dev/fuse: dfs-mount is left out") }
    defer {
      mount?.child.kill(SIGTERM)
      if mount?.child.wait(seconds: 30) == false { mount?.child.kill() }
      if let place = mount?.place, MountWork.isMounted(place) { umount2(place, Int32(MNT_DETACH)) }
    }
    for (index, relay) in relays.enumerated() {
      relay.turn(
        Relay.Hostility(
          seed: options.seed &+ options.from &+ UInt64(index), percent: 25, loginPercent: 3,
          others: recording.answers))
    }
    let kept = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(files)/large")))
    let work = mount.map { Work($0.place, kept: hostile == 1 ? kept : nil, findings) }
    defer { work?.stop() }
    var curve = MemoryCurve()
    func changed() -> UInt64 { relays.reduce(0) { $0 + $1.changed } }
    let commands = Commands(conf, files, seed: options.seed, Self.workers, findings)
    var told = Date()
    while changed() < inputs, findings.isEmpty {
      look(mount?.child, work, &curve)
      usleep(20_000)
      if told.timeIntervalSinceNow < -10 {
        say("  \(changed()) answers changed, \(commands.count) commands of dfc")
        told = Date()
      }
    }
    for relay in relays { relay.turn(nil) }
    commands.stop()
    if let problem = curve.problem { findings.add("dfs-mount: \(problem)") }
    say("  \(commands.count) commands of dfc; the mount had \(curve.summary) resident")
    return changed()
  }

  private func look(_ mount: Child?, _ work: Work?, _ curve: inout MemoryCurve) {
    guard let mount, let work else { return }
    if !mount.isRunning {
      findings.add(mount.crash ?? "dfs-mount ended by itself: \(mount.errors.suffix(2000))")
    }
    curve.sample(FourServers.residentBytes(process: mount.id))
    if work.secondsInRound > Self.callSeconds {
      findings.add("a round of calls on the mount took more than \(Self.callSeconds) s")
      // So that the calls end.
      mount.kill()
    }
  }
}

/// Rounds of calls on a mount, on a thread that may hang.
private final class Work: Sendable {
  private let place: String
  private let kept: [UInt8]?
  private let findings: Findings
  private let state = Mutex((isStopped: false, began: Date()))
  private let done = DispatchSemaphore(value: 0)

  init(_ place: String, kept: [UInt8]?, _ findings: Findings) {
    self.place = place
    self.kept = kept
    self.findings = findings
    Thread.detachNewThread {
      while !self.state.withLock({ $0.isStopped }) {
        self.state.withLock { $0.began = Date() }
        if let problem = MountWork.round(place, kept: kept) { findings.add(problem) }
        usleep(5_000)
      }
      self.done.signal()
    }
  }

  var secondsInRound: Double { -state.withLock { $0.began.timeIntervalSinceNow } }

  func stop() {
    state.withLock { $0.isStopped = true }
    _ = done.wait(timeout: .now() + 60)
  }
}

/// Commands of dfc, each a process, several at a time.
private final class Commands: Sendable {
  private let conf: String
  private let files: String
  private let findings: Findings
  private let state = Mutex((isStopped: false, count: 0))
  private let group = DispatchGroup()

  init(_ conf: String, _ files: String, seed: UInt64, _ workers: Int, _ findings: Findings) {
    self.conf = conf
    self.files = files
    self.findings = findings
    for worker in 0..<workers {
      group.enter()
      Thread.detachNewThread {
        self.work("\(files)/dfc\(worker)", SplitMix64(seed: seed &+ UInt64(worker)))
        self.group.leave()
      }
    }
  }

  var count: Int { state.withLock { $0.count } }

  func stop() {
    state.withLock { $0.isStopped = true }
    group.wait()
  }

  private var isStopped: Bool { state.withLock { $0.isStopped } || !findings.isEmpty }

  private func work(_ own: String, _ random: SplitMix64) {
    var random = random
    try? FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
    let lines = Recording.script(files).split(separator: "\n").map(String.init)
      .filter { !$0.contains("large \(files)/back") }
    while !isStopped {
      let line = random.pick(lines).replacingOccurrences(of: " --wait", with: "")
      let words = line.replacingOccurrences(of: "\(files)/back", with: "\(own)/back")
        .replacingOccurrences(of: "\(files)/tree", with: "\(own)/tree")
        .split(separator: " ").map(String.init)
      do {
        let dfc = try Child("dfc", [conf, "--quiet", "--timeout", "2s"] + words, files: own)
        var peak = 0
        let ended = dfc.wait(seconds: ClientFuzz.commandSeconds) {
          peak = max(peak, FourServers.residentBytes(process: dfc.id))
          if isStopped { dfc.kill() }
        }
        state.withLock { $0.count += 1 }
        // One that was ended here is no finding.
        if isStopped { return }
        if !ended {
          findings.add("dfc \(line): not ended within \(ClientFuzz.commandSeconds) s")
          dfc.kill()
        }
        if let crash = dfc.crash { findings.add("dfc \(line): \(crash)") }
        if peak > 600 << 20 { findings.add("dfc \(line): \(peak >> 20) MiB resident") }
      } catch {
        findings.add("dfc \(line) could not be run: \(error)")
      }
    }
  }
}
