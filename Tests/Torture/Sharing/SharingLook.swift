import DFSSystem
import DFSTestSupport
import Foundation

/// The look at everything after a run that nothing disturbed: all mounts and dfc agree on every name
/// and content, and what was overwritten unseen was kept.
struct SharingLook {
  private let cluster: Cluster
  private let recorder: Recorder
  private let dfc: DfcClient
  private let mounts: [MountClient]
  private(set) var events: [Int: [NameEvent]] = [:]
  private(set) var files = 0
  private(set) var kept = 0

  init(_ cluster: Cluster, _ recorder: Recorder) throws {
    (self.cluster, self.recorder) = (cluster, recorder)
    dfc = try DfcClient(
      title: "dfc at the end", configuration: cluster.dfcPlaces[0].configuration,
      directory: "\(cluster.directory)/last.local")
    mounts = try cluster.mountPlaces.map {
      try MountClient(title: "\($0.title) at the end", mount: $0.mount ?? "")
    }
  }

  mutating func look() throws {
    for kind in recorder.mix.kinds where kind != .folder {
      let groups = recorder.groups.filter { $0.kind == kind }
      try fetch(groups, kind)
      var contents: [Int: Int] = [:]
      for group in groups {
        for name in group.names.indices {
          for mount in mounts { contents[group.number] = try read(group, name, on: mount) }
        }
      }
      try lookAtKept(groups, kind, contents)
    }
    recorder.problems(of: recorder.chains).forEach { recorder.problem($0) }
  }

  private mutating func add(_ group: Group, _ name: Int, _ answer: NameAnswer, by client: String) {
    let now = Clock.now
    events[group.number, default: []].append(
      NameEvent(.read(name: name), answer, from: now, to: now + 1, by: client))
    files += 1
  }

  // MARK: Names

  /// By dfc, the whole directory at once.
  private mutating func fetch(_ groups: [Group], _ kind: GroupKind) throws {
    let target = "\(cluster.directory)/last.local/"
    let call = try dfc.run(["get", "-r", kind.directory, target])
    guard call.status == 0 else {
      return recorder.problem(.lost, "dfc cannot fetch \(kind.directory) at the end: \(call.text)")
    }
    for group in groups {
      for (name, text) in group.names.enumerated() {
        let bytes = FileManager.default.contents(atPath: "\(target)\(kind.directory)/\(text)")
        add(group, name, answer(bytes.map(Array.init), group), by: dfc.title)
      }
    }
  }

  private func answer(_ bytes: [UInt8]?, _ group: Group) -> NameAnswer {
    guard let bytes else { return .absent }
    switch Content.finding(in: bytes) {
    case .empty: return .content(0)
    case .whole(let number): return .content(number)
    case .appended(let chain), .patched(let chain): return .content(chain.last ?? 0)
    case .wrong(let what):
      recorder.problem(.wrong, "dfc fetched wrong bytes of \(group.title) at the end: \(what)")
      return .content(0)
    }
  }

  /// - Returns: the content.
  private mutating func read(_ group: Group, _ name: Int, on mount: MountClient) throws -> Int? {
    let answer = try read(group.kind, group.names[name], on: mount)
    if let content = answer.content {
      add(group, name, .content(content), by: mount.title)
    } else if answer.call("open")?.error == ENOENT {
      add(group, name, .absent, by: mount.title)
    } else {
      let calls = answer.calls.map { "\($0.name) \($0.error)" }.joined(separator: ", ")
      recorder.problem(
        .lost,
        "\(mount.title): \(group.kind.directory)/\(group.names[name]) cannot be read "
          + "(\(answer.wrong ?? calls))" + recorder.history(of: group.number))
    }
    return answer.content
  }

  private func read(
    _ kind: GroupKind, _ name: String, on mount: MountClient
  ) throws -> WorkerAnswer {
    var command = WorkerCommand(action: .read, directory: kind.directory)
    command.name = name
    return try mount.perform(command, seconds: Drivers.answerSeconds)
  }

  // MARK: What was kept

  private mutating func lookAtKept(
    _ groups: [Group], _ kind: GroupKind, _ last: [Int: Int]
  ) throws {
    var kept: [String: [Int]] = [:]
    let list = WorkerCommand(action: .list, directory: kind.directory)
    let names = try mounts[0].perform(list, seconds: Drivers.answerSeconds).names ?? []
    let known = Set(groups.flatMap(\.names))
    for name in names where ![".", ".."].contains(name) && !known.contains(name) {
      guard let end = name.range(of: " (conflict ")?.lowerBound,
        known.contains(String(name[..<end])), kind != .renamed
      else {
        recorder.problem(.other, "nobody made '\(kind.directory)/\(name)'")
        continue
      }
      // Another mount than the one whose list it was.
      let answer = try read(kind, name, on: mounts[mounts.count - 1])
      if let content = answer.content {
        kept[String(name[..<end]), default: []].append(content)
        self.kept += 1
      } else {
        recorder.problem(
          .wrong, "'\(kind.directory)/\(name)' cannot be read: \(answer.wrong ?? "an error")")
      }
    }
    for group in groups where kind.isInPlace || kind == .exclusive {
      let look = KeptContents(
        stored: recorder.stored(in: group.number), last: last[group.number],
        kept: kept[group.names[0]] ?? [])
      // What was written to a file that was removed meanwhile is kept, too.
      let faults = kind.isInPlace ? look.faults : look.strangers
      for fault in faults { recorder.problem(problem(fault, look, group)) }
    }
  }
}

extension SharingLook {
  private func problem(
    _ fault: KeptContents.Fault, _ look: KeptContents, _ group: Group
  ) -> Problem {
    let (kind, content, what): (Problem.Kind, Int, String) =
      switch fault {
      case .foreign(let content): (.wrong, content, "was kept, and nobody stored it there")
      case .keptTwice(let content): (.other, content, "was kept more than once")
      case .missed(let content): (.lost, content, "was overwritten unseen, and not kept")
      case .needless(let content): (.other, content, "was kept, and had been seen")
      }
    return Problem(
      kind,
      "\(group.title): content \(content) \(what): \(look.text(content, since: recorder.origin))"
        + recorder.history(of: group.number))
  }
}

extension Recorder {
  /// An append goes to the end of what its open found: whoever reads it finds that before it.
  func problems(of chains: [Chain]) -> [Problem] {
    let own = Dictionary(
      chains.filter(\.isOwn).compactMap { chain in
        chain.numbers.last.map { ($0, chain.numbers) }
      }
    ) { $1 }
    return chains.compactMap { chain in
      guard let last = chain.numbers.last, let expected = own[last], expected != chain.numbers
      else { return nil }
      return Problem(.wrong, "\(chain.numbers) was read where \(expected) had been closed")
    }
  }
}
