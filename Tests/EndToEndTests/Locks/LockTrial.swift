import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// Workers (LockWorker) on two mounts of a cluster, and what is done to mounts and servers meanwhile; in the end the
/// history is judged.
final class LockTrial {
  /// Locks, reads, writes and unlocks; DFS_TEST_LOCK_OPERATIONS says how many.
  static let asked = ProcessInfo.processInfo.environment["DFS_TEST_LOCK_OPERATIONS"].flatMap {
    Int($0)
  }
  static var isLong: Bool { asked != nil }
  static let workers = 8

  private let cluster: MountedCluster
  private var faults: [LockHistory.Fault] = []
  private var directory: String { cluster.local + "/history" }

  init(_ cluster: MountedCluster) async throws {
    self.cluster = cluster
    try LockWorker.text.write(
      toFile: cluster.local + "/worker.py", atomically: true, encoding: .utf8)
    try await cluster.shell.succeed("mkdir $LOCAL/history; touch $M/ranges $M/whole")
  }

  /// CLOCK_MONOTONIC, as in the logs.
  private static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

  // MARK: Work

  /// Runs the workers until they have done so much and `disturb` has ended.
  func work(_ operations: Int, seed: UInt64, _ disturb: () async throws -> Void = {}) async throws {
    let limit = 120 + operations / 20
    let cluster = cluster
    async let result = cluster.shell.succeed(
      """
      for n in $(seq 0 \(Self.workers - 1)); do
        if [ $((n % 2)) = 0 ]; then mount=$M; else mount=$M2; fi
        python3 $LOCAL/worker.py work $LOCAL/history $mount $n \(operations / Self.workers + 1) \(seed) &
        processes="$processes $!"
      done
      for process in $processes; do wait $process; done
      """, seconds: limit, "seed \(seed)")
    do {
      try await disturb()
    } catch {
      Issue.record("\(error)")
    }
    try await cluster.shell.succeed("touch $LOCAL/history/calm")
    _ = try await result
  }

  /// Reads all records on both mounts, and judges what all did.
  func judge(_ title: String, seed: UInt64) async throws -> LockHistory {
    try await cluster.shell.succeed(
      "for n in 1 2; do m=M${n#1}; python3 $LOCAL/worker.py look $LOCAL/history ${!m} 9$n; done",
      seconds: 120)
    let history = try LockHistory(directory: directory, faults: faults)
    let judge = LockJudge(history)
    let killed = history.lives.count { $0.killed != nil }
    print(
      "\(title), seed \(seed): \(history.operations) operations, \(killed) processes killed, \(faults.count) faults of "
        + "mounts, \(judge.violations.count) violations")
    #expect(
      judge.violations.isEmpty,
      "seed \(seed), logs in \(directory)\n\(judge.violations.prefix(20).map(\.description).joined(separator: "\n"))"
    )
    return history
  }

  // MARK: Progress

  /// Waits until the workers of a mount (0, 1; nil: all) have told their logs so many lines more.
  func progress(_ lines: Int, of mount: Int? = nil, within limit: Duration = .seconds(60))
    async throws
  {
    let before = written(mount)
    try await eventually("workers go on", within: limit) { written(mount) >= before + lines * 40 }
  }

  /// Bytes; a line has about 40.
  private func written(_ mount: Int?) -> Int {
    (0..<Self.workers).filter { mount == nil || $0 % 2 == mount }.reduce(0) { sum, number in
      let path = directory + "/\(number).log"
      let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
      return sum + (size ?? 0)
    }
  }

  // MARK: Faults

  /// Kills a server, and starts it again; three go on.
  func killServer(_ server: ServerIndex) async throws {
    try await cluster.servers.kill(server)
    try await progress(200)
    try await cluster.servers.restart(server)
    try await progress(200)
  }

  /// Kills the process of the second mount, and mounts again once the first goes on.
  func killMount() async throws {
    let mount = cluster.mounts[1]
    let process = try #require(try await cluster.mountProcess(mount))
    let begin = Self.now
    kill(process, SIGKILL)
    try await eventually("the mount is dead") { kill(process, 0) != 0 }
    try await progress(400, of: 0)
    faults.append(LockHistory.Fault(kind: .killed, mount: mount, begin: begin, end: Self.now))
    try await cluster.startMount(mount)
    try await progress(200, of: 1)
  }

  /// Stops the process of the second mount until the first has taken its locks; perhaps it has none just then, and
  /// nobody is held up.
  func freezeMount() async throws {
    let mount = cluster.mounts[1]
    let process = try #require(try await cluster.mountProcess(mount))
    let (before, lines) = (try await takenLocks(), written(0))
    let begin = Self.now
    kill(process, SIGSTOP)
    defer { kill(process, SIGCONT) }
    try await eventually("the locks of the frozen mount are taken", within: .seconds(60)) {
      if written(0) > lines + 4000 * 40 { return true }
      return try await takenLocks() > before
    }
    try await progress(200, of: 0)
    kill(process, SIGCONT)
    faults.append(LockHistory.Fault(kind: .frozen, mount: mount, begin: begin, end: Self.now))
    try await progress(200, of: 1)
  }

  /// How often a mount has told that it removed the locks of another.
  private func takenLocks() async throws -> Int {
    let script =
      "grep -rhF 'the locks of a client that did not answer' $DIR/cache $DIR/mount.log | wc -l"
    return Int(try await cluster.shell.bash(script).line) ?? 0
  }
}
