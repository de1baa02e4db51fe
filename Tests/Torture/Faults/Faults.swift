import DFSCore
import DFSTestSupport
import Synchronization

/// Performs faults on a running cluster until it is told to stop; then everything is as it should
/// be: servers run, connections pass, mounts are there.
struct Faults: Sendable {
  let cluster: Cluster
  let recorder: Recorder
  let seed: UInt64
  let stop: StopFlag
  /// One server at most is hurt at a time, and only the first place by a fault of connections.
  var isGentle = false

  // MARK: Servers

  func hurtServers() async throws {
    var plan = OutagePlan(
      seed: seed, clients: isGentle ? 1 : cluster.places.count, isGentle: isGentle)
    while !stop.isSet {
      let step = plan.next()
      await pause(step.pauseMilliseconds)
      guard !stop.isSet else { return }
      switch step.event {
      case .one(let server, let outage): try await perform(step, [(server, outage)])
      case .two(let one, let outage, let other, let otherOutage):
        recorder.fault("two servers out", "two servers out: \(one) and \(other)")
        try await perform(step, [(one, outage), (other, otherOutage)])
      case .allKilled: try await killAll(step)
      }
    }
  }

  private func perform(_ step: OutagePlan.Step, _ outages: [(ServerIndex, Outage)]) async throws {
    for (server, outage) in outages { try await begin(outage, of: server, step) }
    await pause(step.lengthMilliseconds)
    for (server, outage) in outages { try await end(outage, of: server, step) }
  }

  private func begin(_ outage: Outage, of server: ServerIndex, _ step: OutagePlan.Step) async throws
  {
    let whom = step.client.map { cluster.places[$0].title } ?? "everybody"
    let isNet = ![.killed, .frozen].contains(outage)
    recorder.fault(
      outage.title,
      "\(outage.title): \(server), \(step.lengthMilliseconds) ms" + (isNet ? ", for \(whom)" : "")
        + ([.stalled, .dropped].contains(outage) ? ", \(step.directions.text)" : ""))
    switch outage {
    case .killed: try await cluster.servers.kill(server)
    case .frozen: cluster.servers.freeze(server)
    case .closed: cluster.relay.set(.close, on: links(server, step))
    case .stalled: cluster.relay.set(.stall(step.directions), on: links(server, step))
    case .dropped: cluster.relay.set(.drop(step.directions), on: links(server, step))
    }
  }

  private func end(_ outage: Outage, of server: ServerIndex, _ step: OutagePlan.Step) async throws {
    switch outage {
    case .killed: try await cluster.servers.restart(server)
    case .frozen: cluster.servers.thaw(server)
    case .closed, .stalled, .dropped: cluster.relay.set(.pass, on: links(server, step))
    }
    recorder.note("over: \(outage.title), \(server)")
  }

  private func links(_ server: ServerIndex, _ step: OutagePlan.Step) -> [RelayLink] {
    cluster.links(to: [server], of: step.client.map { [$0] })
  }

  private func killAll(_ step: OutagePlan.Step) async throws {
    recorder.fault("all servers killed", "all servers killed, \(step.lengthMilliseconds / 4) ms")
    for server in ServerIndex.all { cluster.servers.send(9, to: server) }
    for server in ServerIndex.all { try await cluster.servers.kill(server) }
    await pause(step.lengthMilliseconds / 4)
    for server in ServerIndex.all { try await cluster.servers.restart(server) }
    recorder.note("over: all servers killed")
  }

  // MARK: Mounts

  func hurtMounts() async throws {
    var random = SplitMix64(seed: seed ^ 0x6d6f_756e_7473)
    while !stop.isSet {
      await pause(3000 + random.below(7000))
      guard !stop.isSet else { return }
      let place = random.pick(cluster.mountPlaces)
      recorder.fault("mount killed", "\(place.title) killed")
      if try await !cluster.killMount(place) {
        recorder.problem(.other, "\(place.title) was killed and did not end within 10 s")
      }
      await pause(random.below(500))
      try await cluster.startMount(place)
      recorder.note("\(place.title) is mounted again")
      for place in cluster.mountPlaces where cluster.hasEnded(place) {
        recorder.problem(.other, "\(place.title) ended by itself")
        try await cluster.startMount(place)
      }
    }
  }

  private func pause(_ milliseconds: Int) async {
    let end = ContinuousClock.now + .milliseconds(milliseconds)
    while ContinuousClock.now < end, !stop.isSet {
      try? await Task.sleep(for: min(.milliseconds(100), end - .now))
    }
  }
}

/// Set once.
final class StopFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}

extension RelayDirections {
  var text: String {
    switch self {
    case .toServer: "to the server"
    case .toClient: "to the client"
    default: "both ways"
    }
  }
}
