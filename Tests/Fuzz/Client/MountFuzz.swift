import CLinux
import DFSConfiguration
import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Synchronization

/// One mount against hostile relays, with its memory over time.
final class MountFuzz {
  /// Of a round of calls: the limit of one call, and the process has to notice.
  private static let callSeconds = 60.0

  private let relays: [Relay]
  private let tally = Relay.Tally()
  private let mount: MountWork.Mounted
  private let work: Work
  private let find: @Sendable (String) -> Void
  private var memory = MemoryCurve()

  /// - Parameter from: what its changes begin with, as those of batches do.
  /// - Returns: nil where there is no FUSE.
  init?(_ setting: Batch.Setting, from: UInt64) throws {
    let (hostile, files, servers) = (setting.hostile, setting.files, setting.servers.addresses)
    let tally = tally
    relays = try servers.prefix(hostile).map { try Relay(to: $0.port, tally: tally) }
    let conf = try Recording.configuration(
      setting.servers, ports: relays.map(\.port) + servers.dropFirst(hostile).map(\.port), files,
      "hostile\(hostile)")
    guard let mount = try MountWork.start(conf, "\(files)/mount\(hostile)", files) else {
      return nil
    }
    self.mount = mount
    for (index, relay) in relays.enumerated() {
      relay.turn(
        Relay.Hostility(
          seed: setting.seed &+ from &+ UInt64(index), percent: 25, loginPercent: 3,
          others: setting.others))
    }
    let place = Findings.Place(batch: from, hostile: hostile)
    let findings = setting.findings
    find = { findings.add($0, at: place) }
    let kept = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(files)/large")))
    work = Work(mount.place, kept: hostile == 1 ? kept : nil, find)
  }

  var changed: UInt64 { tally.changed }

  var summary: String {
    "\(changed) of these in \(work.rounds) rounds of the mount, which had \(memory.summary) resident"
  }

  func look() {
    if !mount.child.isRunning {
      find(mount.child.crash ?? "dfs-mount ended by itself: \(mount.child.errors.suffix(2000))")
    }
    memory.sample(FourServers.residentBytes(process: mount.child.id))
    if work.secondsInRound > Self.callSeconds {
      find("a round of calls on the mount took more than \(Self.callSeconds) s")
      // So that the calls end.
      mount.child.kill()
    }
  }

  func becomeHonest() { for relay in relays { relay.turn(nil) } }

  func end() {
    if let problem = memory.problem { find("dfs-mount: \(problem)") }
    work.stop()
    look()
    mount.child.kill(SIGTERM)
    if !mount.child.wait(seconds: 30) {
      find("dfs-mount did not end within 30 s of SIGTERM")
      mount.child.kill()
    }
    if MountWork.isMounted(mount.place) { umount2(mount.place, Int32(MNT_DETACH)) }
    for relay in relays { relay.stop() }
  }
}

/// Rounds of calls on a mount, on a thread that may hang.
private final class Work: Sendable {
  private let place: String
  private let kept: [UInt8]?
  private let find: @Sendable (String) -> Void
  private let state = Mutex((isStopped: false, began: Date(), rounds: 0))
  private let done = DispatchSemaphore(value: 0)

  init(_ place: String, kept: [UInt8]?, _ find: @escaping @Sendable (String) -> Void) {
    self.place = place
    self.kept = kept
    self.find = find
    Thread.detachNewThread {
      while !self.state.withLock({ $0.isStopped }) {
        self.state.withLock { $0.began = Date() }
        if let problem = MountWork.round(place, kept: kept) { find(problem) }
        self.state.withLock { $0.rounds += 1 }
        usleep(5_000)
      }
      self.done.signal()
    }
  }

  var secondsInRound: Double { -state.withLock { $0.began.timeIntervalSinceNow } }
  var rounds: Int { state.withLock { $0.rounds } }

  func stop() {
    state.withLock { $0.isStopped = true }
    _ = done.wait(timeout: .now() + 60)
  }
}
