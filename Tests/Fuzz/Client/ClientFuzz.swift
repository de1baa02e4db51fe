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

  /// Of a round of calls on the mount: the limit of one call, and the process has to notice.
  private static let callSeconds = 60.0

  /// - Returns: answers that were changed.
  func run() throws -> UInt64 {
    try Batches.prepare(servers, files)
    var changed: UInt64 = 0
    let numbers = options.hostile.map { [Int($0)] } ?? [1, 4]
    for hostile in numbers where findings.isEmpty {
      let inputs = options.inputs / UInt64(numbers.count)
      let start = Date()
      let count = try attack(hostile, inputs)
      let seconds = Int(-start.timeIntervalSinceNow)
      say("\(hostile) hostile: \(count) answers changed in \(seconds) s")
      changed += count
    }
    return changed
  }

  private func attack(_ hostile: Int, _ inputs: UInt64) throws -> UInt64 {
    let tally = Relay.Tally()
    let batches = Batch.Setting(
      servers: servers, seed: options.seed, hostile: hostile, users: Batches.users, files: files,
      others: recording.answers, tally: tally, findings: findings)
    let mount = try MountFuzz(batches, from: options.from)
    if mount == nil { say("no /dev/fuse: dfs-mount is left out") }
    let commands = Batches(batches, from: options.from, inputs: inputs)
    func changed() -> UInt64 { tally.changed + (mount?.changed ?? 0) }
    func summary() -> String {
      "\(changed()) answers changed; \(commands.summary); \(mount?.summary ?? "no mount")"
    }
    var told = Date()
    while changed() < inputs, findings.isEmpty {
      mount?.look()
      usleep(100_000)
      if told.timeIntervalSinceNow < -10 {
        say("  \(summary())")
        told = Date()
      }
    }
    mount?.becomeHonest()
    commands.stop()
    mount?.end()
    say("  \(summary())")
    return changed()
  }
}
