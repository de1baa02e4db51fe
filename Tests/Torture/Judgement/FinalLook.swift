import DFSSystem
import DFSTestSupport
import Foundation

/// The look at everything when all servers are up again: each name is listed by dfc, with the MD5 of
/// its content, and each file is read on a mount, whose bytes are compared.
struct FinalLook {
  private static let patienceNanoseconds: UInt64 = 60_000_000_000

  let cluster: Cluster
  let recorder: Recorder
  private let dfc: DfcClient
  private let mount: MountClient
  private(set) var events: [Int: [NameEvent]] = [:]
  private(set) var files = 0

  init(_ cluster: Cluster, _ recorder: Recorder) throws {
    (self.cluster, self.recorder) = (cluster, recorder)
    let (dfcPlace, mountPlace) = (cluster.dfcPlaces[0], cluster.mountPlaces[1])
    dfc = try DfcClient(
      title: "end", configuration: dfcPlace.configuration,
      directory: "\(cluster.directory)/end.local")
    mount = try MountClient(title: "end on \(mountPlace.title)", mount: mountPlace.mount ?? "")
  }

  mutating func look() throws {
    let groups = recorder.groups
    for kind in GroupKind.allCases { try list(groups.filter { $0.kind == kind }, kind) }
    for group in groups where group.kind != .folder {
      for name in group.names.indices { try read(group, name) }
    }
  }

  private mutating func list(_ groups: [Group], _ kind: GroupKind) throws {
    let call = try patiently { () throws -> DfcClient.Call? in
      let call = try dfc.run(["list", "--json", kind.directory + "/"])
      return call.status == 0 ? call : nil
    }
    guard let call else {
      return recorder.problem(.lost, "dfc cannot list \(kind.directory) at the end")
    }
    let listing = DfcListing(call.output)
    for group in groups {
      let answer = NameAnswer.listed(group.names.map { listing.listing($0, recorder) })
      events[group.number, default: []].append(
        NameEvent(.list, answer, from: call.begin, to: call.end, by: "end"))
    }
  }

  private mutating func read(_ group: Group, _ name: Int) throws {
    var command = WorkerCommand(action: .read, directory: group.kind.directory)
    command.name = group.names[name]
    let operation = Operation(
      number: 0, group: group.number, kind: group.kind, action: .read, name: name, newName: name,
      size: 0, isDurable: false, killAfterMilliseconds: nil)
    var calls = ""
    let record = try patiently { () throws -> Record? in
      let answer = try mount.perform(command, seconds: Drivers.answerSeconds)
      let record = MountRecord.of(operation, answer, by: "end", [])
      calls = answer.calls.map { "\($0.name) \($0.error)" }.joined(separator: ", ")
      return record.events.isEmpty && record.problems.isEmpty ? nil : record
    }
    guard let record else {
      return recorder.problem(
        .lost,
        "\(group.kind.directory)/\(command.name) cannot be read at the end (\(calls)); "
          + (try dfc.run(["where", group.kind.directory + "/" + command.name])).text
          + recorder.history(of: group.number))
    }
    files += 1
    record.problems.forEach { recorder.problem($0.kind, $0.text) }
    events[group.number, default: []] += record.events[group.number] ?? []
  }

  private func patiently<Value>(_ body: () throws -> Value?) throws -> Value? {
    let deadline = Clock.now + Self.patienceNanoseconds
    while true {
      if let value = try body() { return value }
      guard Clock.now < deadline else { return nil }
      usleep(200_000)
    }
  }
}
