import DFSTestSupport
import Foundation
import Synchronization

/// The clients: threads that perform one operation after the other, each on its own worker or dfc.
final class Drivers: Sendable {
  static let workersPerMount = 2
  /// An answer of a worker that takes longer never comes: several calls, each within its bound.
  static let answerSeconds = 150

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
      let plan = Plan(seed: seed &* 1_000 &+ number)
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
      else { continue }
      if operation.size > 0, [.write, .create, .save].contains(operation.action) {
        recorder.made(
          operation.number,
          md5: Content.md5(of: Content.bytes(operation.number, size: operation.size)))
      }
      let answer = try client.perform(operation, recorder, seconds: Self.answerSeconds)
      let record = MountRecord.of(
        operation, answer, by: client.title, recorder.liveGroups(operation.kind))
      recorder.end(operation, client: place.number, record)
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
      else { continue }
      let call = try client.perform(operation, recorder)
      if call.wasKilled {
        recorder.fault("dfc killed", "\(place.title) killed in \(operation.action)")
      }
      let record = DfcRecord.of(
        operation, call, by: client.title, fetched: client.takeFetched(), recorder)
      recorder.end(operation, client: place.number, record)
    }
  }
}
