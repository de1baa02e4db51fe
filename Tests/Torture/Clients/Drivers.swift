import DFSSystem
import DFSTestSupport
import Foundation
import Synchronization

/// The clients: threads that perform one operation after the other, each on its own worker or dfc.
final class Drivers: Sendable {
  static let workersPerMount = 2
  /// An answer of a worker that takes longer never comes: several calls, each within its limit.
  static let answerSeconds = 150
  /// Microseconds between two calls of dfc that is used now and then.
  private static let dfcPause: useconds_t = 100_000

  private let cluster: Cluster
  private let recorder: Recorder
  private let stop: StopFlag
  private let running = Atomic<Int>(0)

  init(_ cluster: Cluster, _ recorder: Recorder, stop: StopFlag) {
    (self.cluster, self.recorder, self.stop) = (cluster, recorder, stop)
  }

  var areDone: Bool { running.load(ordering: .acquiring) == 0 }

  func start(seed: UInt64) {
    var number: UInt64 = 0
    func launch(_ body: @escaping @Sendable (inout Plan) throws -> Void) {
      number += 1
      let plan = Plan(seed: seed &* 1_000 &+ number, self.recorder.mix)
      running.add(1, ordering: .relaxed)
      Thread.detachNewThread {
        var plan = plan
        do {
          try body(&plan)
        } catch {
          if !self.stop.isSet { self.recorder.problem(.other, "\(error)") }
          self.stop.set()
        }
        self.running.subtract(1, ordering: .releasing)
      }
    }
    for place in cluster.mountPlaces {
      for index in 1...Self.workersPerMount { launch { try self.use(place, index, &$0) } }
    }
    for place in cluster.dfcPlaces { launch { try self.call(place, &$0) } }
  }

  private func use(_ place: Cluster.Place, _ index: Int, _ plan: inout Plan) throws {
    let client = try MountClient(title: "\(place.title).\(index)", mount: place.mount ?? "")
    while !stop.isSet {
      guard
        let operation = recorder.begin(&plan, client: place.number, isMount: true)
      else {
        usleep(500)
        continue
      }
      if operation.size > 0, [.write, .create, .save].contains(operation.action) {
        recorder.made(
          operation, md5: Content.md5(of: Content.bytes(operation.number, size: operation.size)),
          size: operation.size)
      }
      let answer = try client.perform(operation, recorder, seconds: Self.answerSeconds)
      if let md5 = answer.md5, let size = answer.size {
        recorder.made(operation, md5: md5, size: size)
      }
      let record = MountRecord.of(
        operation, answer, by: client.title, recorder.liveGroups(operation.kind),
        sizes: operation.action == .stat ? recorder.sizes(of: operation.group) : [:])
      recorder.end(operation, client: place.number, record)
      refuse(record, operation, by: client.title)
      // A mount that is not there answers at once.
      if answer.calls.first?.error != 0 { usleep(50_000) }
    }
  }

  private func call(_ place: Cluster.Place, _ plan: inout Plan) throws {
    let client = try DfcClient(
      title: place.title, configuration: place.configuration,
      directory: "\(cluster.directory)/\(place.title).local")
    while !stop.isSet {
      guard let operation = recorder.begin(&plan, client: place.number, isMount: false)
      else {
        usleep(500)
        continue
      }
      let call = try client.perform(operation, recorder)
      if call.wasKilled {
        recorder.fault("dfc killed", "\(place.title) killed in \(operation.action)")
      }
      let record = DfcRecord.of(
        operation, call, by: client.title, fetched: client.takeFetched(), recorder)
      recorder.end(operation, client: place.number, record)
      refuse(record, operation, by: client.title, call.errors)
      if recorder.mix == .sharing { usleep(Self.dfcPause) }
    }
  }

  /// Undisturbed, nothing is refused, and every outcome is known.
  private func refuse(
    _ record: Record, _ operation: Operation, by client: String, _ errors: String = ""
  ) {
    guard recorder.mix == .sharing, record.outcome != .acknowledged else { return }
    let calls = record.calls.map { "\($0.name) \($0.error)" }.joined(separator: ", ")
    recorder.problem(
      .other,
      "\(client): a \(operation.action) that nothing disturbed failed (\(calls)\(errors))"
        + recorder.history(of: operation.group))
  }
}
