import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Synchronization

/// Batches on several threads, most of which wait for a dfc that waits for a server.
final class Batches: Sendable {
  /// Users of whom each has several clients at a time, that hear of each other's changes.
  static let users = 32
  /// With one hostile server fewer answers are changed, and more clients wait. A short run ends before
  /// many have begun.
  private static func workers(_ hostile: Int, _ inputs: UInt64) -> Int {
    if hostile > 1 { return 40 }
    return inputs < 1000 ? 80 : 160
  }
  /// The first ones last as long as the run, to show whether memory grows.
  private static let lasting = 4

  private struct State {
    var isStopped = false
    var ended = 0
    var report = Batch.Report()
  }

  private let setting: Batch.Setting
  private let state = Mutex(State())
  private let next: Atomic<UInt64>
  private let group = DispatchGroup()

  /// The files of all users, with honest servers.
  static func prepare(_ servers: FourServers, _ files: String) throws {
    let children = try ServerFuzz.users.prefix(users).map { user in
      let own = "\(files)/\(user)"
      try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
      let conf = try Recording.configuration(
        servers, ports: servers.addresses.map(\.port), own, "prepare", user: user)
      let lines = "mkdir a\nput \(files)/small \(files)/middle a/\nput \(files)/large\n"
      return try Child("dfc", [conf, "--quiet", "--timeout", "60s"], input: lines, files: own)
    }
    for child in children where !child.wait(seconds: 120) || child.status != 0 {
      child.kill()
      throw FuzzFailure("the files of a user could not be put: \(child.errors)")
    }
  }

  /// - Parameter inputs: answers that are to be changed.
  init(_ setting: Batch.Setting, from: UInt64, inputs: UInt64) {
    self.setting = setting
    next = Atomic(from)
    for worker in 0..<Self.workers(setting.hostile, inputs) {
      group.enter()
      Thread.detachNewThread {
        self.work("\(setting.files)/worker\(worker)", isLasting: worker < Self.lasting)
        self.group.leave()
      }
    }
  }

  var summary: String {
    let (ended, report) = state.withLock { ($0.ended, $0.report) }
    return
      "\(ended) batches to \(next.load(ordering: .relaxed)), \(report.seen) answers, \(report.commands) commands in "
      + "\(report.processes) processes of dfc, of which one had \(report.peak >> 20) MiB resident at "
      + "most; the longest took \(Int(report.longest.seconds)) s ('\(report.longest.command)')"
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    group.wait()
  }

  private var isStopped: Bool { state.withLock { $0.isStopped } }

  private func work(_ own: String, isLasting: Bool) {
    while !isStopped, setting.findings.isEmpty {
      let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
      do {
        var batch = try Batch(setting, number, own: own)
        try batch.run(isLasting: isLasting) { isStopped }
        let report = batch.report
        state.withLock { state in
          state.ended += 1
          state.report.add(report)
        }
      } catch {
        setting.findings.add("batch \(number): dfc could not be run: \(error)")
      }
    }
  }
}
