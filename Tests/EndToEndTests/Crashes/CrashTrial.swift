import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation

/// One operation during which processes die at crash points, and what must be true afterwards.
///
/// The user's files are `tree` on the servers and $LOCAL/tree here; `mirror` does to the latter what the
/// operation does. Each look fetches all of it: it is whole as before, or whole as after.
struct CrashTrial {
  struct Death: Hashable {
    var point: CrashPoint
    /// When it is come to for the so manieth time.
    var time = 1
  }

  enum Action {
    /// For bash; `crash PROGRAM …` is the one that is to die, if the client is.
    case script(String)
    /// SIGTERM to the server that is to die.
    case stop(ServerIndex)
    /// The start of it, without waiting.
    case start(ServerIndex)
    /// Nothing: the servers come to it by themselves.
    case wait
  }

  enum Outcome { case before, after, either }

  /// Left out of the short form, which visits every step all the same.
  var isExtra = false
  /// The row's words in the table.
  var operation: String
  var what: String
  var client: Death?
  var servers: [ServerIndex: Death] = [:]
  /// Is killed before `prepare`, and started before the action, or after it.
  var away: ServerIndex?
  var staysAway = false
  /// Is killed after the action, and started last of all.
  var lost: ServerIndex?
  var prepare = ""
  /// Are killed, if they still live, and started after `prepare`.
  var restarted: [ServerIndex] = []
  var action = Action.script("")
  /// The action is done again if no server has died: one that is slow may get a change from the log.
  var repeats = false
  var mirror = ""
  /// What may be seen if the client died.
  var outcome = Outcome.either
  /// A script that must succeed before anybody is started again.
  var aftermath = ""
  /// Another one, once everybody is up.
  var check = ""

  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  /// What came out.
  struct Result {
    var ended = ""
    var seen = ""
    var visited: Set<CrashPoint> = []
  }
}

/// Runs trials, one after the other, in one cluster.
struct CrashCourt {
  let cluster: MountedCluster

  private var servers: FourServers { cluster.servers }

  /// For every script.
  static let functions = """
    crash() { begin "$@"; wait $(cat $LOCAL/pid); }
    begin() { DFS_CRASH_AT=$AT DFS_CRASH_LOG=$DIR/crashes "$@" <&0 & echo $! > $LOCAL/pid; }
    fresh() { rm -rf $LOCAL/new; mkdir -p $LOCAL/new; head -c $2 /dev/urandom > $LOCAL/new/$1; }
    Q=$LOCAL/quorum.conf

    """

  @discardableResult
  func succeed(_ script: String, seconds: Int = 60) async throws -> Shell.Result? {
    if script.isEmpty { return nil }
    let result = try await cluster.shell.bash(
      "set -e; " + Self.functions + script, seconds: seconds)
    guard result.status == 0 else { throw failed(script, result) }
    return result
  }

  private func failed(_ script: String, _ result: Shell.Result) -> CrashTrial.Failed {
    let (output, errors) = (result.output.suffix(1500), result.errors.suffix(3000))
    return .init(description: "\(script): \(result.status)\n\(output)\n\(errors)")
  }

  private func require(
    _ condition: Bool, _ text: @autoclosure () -> String
  ) throws(CrashTrial.Failed) {
    guard condition else { throw .init(description: text()) }
  }

  func run(_ trial: CrashTrial) async throws -> CrashTrial.Result {
    do {
      return try await perform(trial)
    } catch {
      throw CrashTrial.Failed(description: "\(trial.title): \(error)")
    }
  }

  private func perform(_ trial: CrashTrial) async throws -> CrashTrial.Result {
    if let away = trial.away { try await servers.kill(away) }
    try await succeed(trial.prepare)
    for server in trial.restarted { try await servers.kill(server) }
    let returning = trial.staysAway ? nil : trial.away
    for server in trial.restarted + [returning].compactMap(\.self) {
      try await servers.restart(server)
    }
    try await succeed(
      "rm -rf $LOCAL/after; cp -a $LOCAL/tree $LOCAL/after; cd $LOCAL/after\n\(trial.mirror)")
    for (server, death) in trial.servers {
      try servers.order(server, toDieAt: death.point, time: death.time)
    }
    var result = CrashTrial.Result()
    let crashesBefore = servers.crashes().count
    var ended = try await act(trial)
    var times = 1
    while trial.repeats, times < 5, servers.crashes().count == crashesBefore {
      ended = try await act(trial)
      times += 1
    }
    var dead: [Int32: CrashPoint] = [:]
    for (server, death) in trial.servers {
      let (pid, wasKilled) = try await end(of: server, ended)
      servers.pardon(server)
      try require(
        wasKilled, "\(server) ended in another way: \(servers.log(of: server).suffix(800))")
      dead[pid] = death.point
    }
    if let client = trial.client {
      try require(ended?.status == 137, "the client was not killed: \(String(describing: ended))")
      dead[try await clientProcess()] = client.point
    }
    let crashes = servers.crashes()
    for (pid, point) in dead {
      try require(crashes[pid] == point, "process \(pid) did not die at \(point): \(crashes)")
    }
    result.visited = Set(dead.values)
    result.ended = trial.client == nil ? ended.map(Self.words) ?? "" : "client killed"
    result.seen = try await judge(trial, ended)
    return result
  }

  private func end(
    of server: ServerIndex, _ action: Shell.Result?
  ) async throws -> (pid: Int32, wasKilled: Bool) {
    do {
      return try await servers.waitForEnd(of: server, within: .seconds(25))
    } catch {
      throw CrashTrial.Failed(description: "\(error): \(String(describing: action))")
    }
  }

  private func act(_ trial: CrashTrial) async throws -> Shell.Result? {
    switch trial.action {
    case .script(let script):
      let at = trial.client.map { "AT=\($0.point.rawValue):\($0.time)\n" } ?? "AT=\n"
      return try await cluster.shell.bash(Self.functions + at + script, seconds: 60)
    case .stop(let server): servers.send(SIGTERM, to: server)
    case .start(let server): try servers.start(server)
    case .wait: break
    }
    return nil
  }

  private func clientProcess() async throws -> Int32 {
    Int32(try await succeed("cat $LOCAL/pid")?.line ?? "") ?? 0
  }

  private static func words(_ result: Shell.Result) -> String {
    if result.status == 0 { return "acknowledged" }
    return result.errors.contains("outcome is not known") ? "unknown" : "refused"
  }

  // MARK: Afterwards

  /// Looks at everything with those that are left, then with those that return, after another write.
  private func judge(_ trial: CrashTrial, _ ended: Shell.Result?) async throws -> String {
    var gone = Set(trial.servers.keys)
    if trial.staysAway, let away = trial.away { gone.insert(away) }
    let looksTwice = gone.count <= 1 && (!trial.mirror.isEmpty || Requirements.large)
    var seen = looksTwice ? [try await look()] : []
    if let lost = trial.lost { try await servers.kill(lost) }
    try await succeed(trial.aftermath)
    for server in gone { try await servers.restart(server) }
    try await succeed(
      """
      head -c 5000 /dev/urandom > $LOCAL/probe; cp $LOCAL/probe $LOCAL/tree; cp $LOCAL/probe $LOCAL/after
      dfc \(trial.lost == nil ? "$CONF" : "$Q") put $LOCAL/probe tree/
      """)
    seen.append(try await look())
    if let lost = trial.lost {
      try await servers.restart(lost)
      seen.append(try await look())
    }
    try await succeed(trial.check)
    try require(Set(seen).count == 1, "\(seen) are seen: \(String(describing: ended))")
    return try await settle(trial, ended, seen[0])
  }

  /// Compares what is seen with what was told.
  private func settle(
    _ trial: CrashTrial, _ ended: Shell.Result?, _ seen: String
  ) async throws -> String {
    if trial.mirror.isEmpty {
      let isGood = trial.client != nil || ended.map { $0.status == 0 } ?? true
      try require(isGood, String(describing: ended))
      return "unchanged"
    }
    let expected = expected(trial, ended)
    try require(expected.contains(seen), "\(seen) is seen: \(String(describing: ended))")
    if seen == "after" { try await succeed("rm -rf $LOCAL/tree; mv $LOCAL/after $LOCAL/tree") }
    return seen
  }

  private func expected(_ trial: CrashTrial, _ ended: Shell.Result?) -> [String] {
    if trial.client == nil, let ended {
      if ended.status == 0 { return ["after"] }
      return Self.words(ended) == "unknown" ? ["before", "after"] : ["before"]
    }
    switch trial.outcome {
    case .before: return ["before"]
    case .after: return ["after"]
    case .either: return ["before", "after"]
    }
  }

  /// Fetches all files.
  /// - Returns: whether they are as before the operation or as after it.
  private func look() async throws -> String {
    try await succeed(
      """
      rm -rf $LOCAL/got; mkdir $LOCAL/got; dfc $CONF get --quiet -r tree $LOCAL/got
      if diff -r $LOCAL/tree $LOCAL/got/tree > $LOCAL/diff1; then echo before
      elif diff -r $LOCAL/after $LOCAL/got/tree > $LOCAL/diff2; then echo after
      else cat $LOCAL/diff1 $LOCAL/diff2; exit 1; fi
      """
    )?.line ?? ""
  }

  /// Everything comes back to full, and every copy is good.
  func heal() async throws {
    try await succeed(
      """
      dfc $CONF heal --wait
      dfc $CONF verify --all | tee $LOCAL/verified
      grep -q ': all good$' $LOCAL/verified
      dfc $CONF status > $LOCAL/status
      grep -q ' 0 with reduced redundancy, 0 incomplete' $LOCAL/status || { cat $LOCAL/status; exit 1; }
      ! grep -q down $LOCAL/status
      """, seconds: 90)
  }
}

extension CrashTrial {
  var extra: CrashTrial {
    var trial = self
    trial.isExtra = true
    return trial
  }

  var title: String { "\(operation): \(points)" }

  var points: String {
    let deaths = servers.sorted { $0.key < $1.key }.map { "\($0.value) in \($0.key)" }
    return ((client.map { ["\($0) in the client"] } ?? []) + deaths).joined(separator: ", ")
  }
}

extension CrashTrial.Death: CustomStringConvertible {
  var description: String { time == 1 ? point.rawValue : "\(point.rawValue) (\(time))" }
}
