import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation

/// Sessions of the real programs with real servers, as frames.
struct Recording {
  let requests: [RawFrame]
  let answers: [RawFrame]
  /// What one server was asked, in the order in which it was, from the beginning and after it had lost
  /// its directory: a user who has nothing yet gets the same state by it.
  let sessions: [[RawFrame]]

  /// Frames of one kind that are enough.
  private static let ofOneKind = 12

  /// Runs dfc (and a mount, where there is FUSE) through relays that record, while one server comes back
  /// late once and empty once.
  init(_ servers: FourServers, _ files: String) async throws {
    let relays = try servers.addresses.map { try Relay(to: $0.port) }
    defer { for relay in relays { relay.stop() } }
    let conf = try Self.configuration(servers, ports: relays.map(\.port), files, "recording")
    let (hurt, relay) = (ServerIndex.all[0], relays[0])
    try Self.contents(files)
    try Self.dfc(conf, Self.script(files), files)
    var sessions = [relay.requests]
    if let mount = try Self.mount(conf, files) {
      defer {
        mount.child.kill(SIGTERM)
        if !mount.child.wait(seconds: 30) { mount.child.kill() }
      }
      MountWork.round(mount.place, kept: nil)
      try await servers.stop(hurt)
      MountWork.round(mount.place, kept: nil)
      try await servers.restart(hurt)
      MountWork.round(mount.place, kept: nil)
    }
    try await servers.stop(hurt)
    try FileManager.default.removeItem(atPath: servers.directory(of: hurt))
    try await servers.restart(hurt)
    let before = relay.requests.count
    try Self.dfc(conf, "put \(files)/small again\nheal --wait\nput \(files)/small more\n", files)
    sessions.append(Array(relay.requests.dropFirst(before)))
    let all = relays.flatMap(\.requests).filter { $0.kind >= 13 }
    answers = Self.chosen(relays.flatMap(\.answers))
    let handmade = Handmade(requests: all, answers: answers)?.sessions ?? []
    self.sessions =
      sessions.map { Array($0.filter { $0.kind >= 13 }.prefix(300)) } + handmade
    requests = Self.chosen(all + handmade.flatMap { $0 })
    guard Set(requests.map(\.kind)).count >= 12, !answers.isEmpty else {
      throw FuzzFailure("too little was recorded: \(kinds)")
    }
  }

  /// Of requests and answers, by the number of their field in the header (dfs.proto).
  var kinds: String {
    Set((requests + answers).map(\.kind)).sorted().map(String.init).joined(separator: " ")
  }

  private static func dfc(_ conf: String, _ script: String, _ files: String) throws {
    let dfc = try Child("dfc", [conf, "--quiet"], input: script, files: files)
    guard dfc.wait(seconds: 120) else { throw FuzzFailure("dfc did not end while it was recorded") }
  }

  private static func chosen(_ frames: [RawFrame]) -> [RawFrame] {
    var kinds: [UInt64: [RawFrame]] = [:]
    for frame in frames { kinds[frame.kind, default: []].append(frame) }
    return kinds.keys.sorted().flatMap { kind -> [RawFrame] in
      // Of all sizes.
      let sorted = (kinds[kind] ?? []).sorted { $0.encoded.count < $1.encoded.count }
      let step = max(1, sorted.count / Self.ofOneKind)
      return stride(from: 0, to: sorted.count, by: step).map { sorted[$0] }
    }
  }

  static func configuration(
    _ servers: FourServers, ports: [Int], _ files: String, _ name: String,
    user: String = FourServers.user
  ) throws -> String {
    let path = "\(files)/\(name).conf"
    let lines = zip(servers.addresses, ports).map { "Server \($0.name) 127.0.0.1:\($1)\n" }
    let rest = """
      Username: \(user)
      Password: \(FourServers.password)
      Call-Timeout: 2s
      Cache-Directory: \(files)/\(name).cache

      """
    try (lines.joined() + rest).write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o600)
    return path
  }

  static func contents(_ files: String) throws {
    for (name, count) in [("small", 1000), ("middle", 300_000), ("large", 3_000_000)] {
      var random = SplitMix64(seed: UInt64(count))
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      try Data(bytes).write(to: URL(fileURLWithPath: "\(files)/\(name)"))
    }
  }

  /// Every command of dfc.
  static func script(_ files: String) -> String {
    """
    mkdir -p a/b
    put \(files)/small \(files)/middle a/
    put \(files)/large
    list
    list a/ --json
    where large
    get a/small \(files)/back
    get large \(files)/back
    get -r a \(files)/tree
    mv a/small a/b/moved
    status
    verify --all
    heal --wait
    scrub
    put \(files)/middle a/b/
    rm -r a/b
    rm a/middle
    status --json

    """
  }

  /// Nil where there is no FUSE.
  private static func mount(_ conf: String, _ files: String) throws -> MountWork.Mounted? {
    let place = "\(files)/recorded"
    return try MountWork.start(conf, place, files)
  }
}
