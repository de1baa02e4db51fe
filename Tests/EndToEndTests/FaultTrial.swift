import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// One row of the matrix: a server is stopped (or killed), one of its files is damaged, it is started
/// again; everything is tried; it is brought back as its own message says; everything is compared.
struct FaultTrial {
  let cluster: MountedCluster
  let target: EndToEnd.StorageFaults.Target
  let fault: EndToEnd.StorageFaults.Fault
  let server: ServerIndex
  let number: Int

  private var directory: String { "$DIR/\(server)" }
  private var shell: Shell { cluster.shell }

  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  /// Runs a script that must succeed: what comes after a failure says nothing.
  @discardableResult
  private func succeed(_ script: String, seconds: Int = 60) async throws -> Shell.Result {
    let result = try await shell.bash("set -e; " + script, seconds: seconds)
    guard result.status == 0 else { throw failed(script, result) }
    return result
  }

  private func failed(_ script: String, _ result: Shell.Result) -> Failed {
    let (output, errors) = (result.output.suffix(1500), result.errors.suffix(1500))
    return Failed(description: "\(self): \(script): \(result.status)\n\(output)\n\(errors)")
  }

  /// How long a call may take while a server is damaged.
  private static let patienceSeconds = 12

  private var file: String {
    switch target {
    case .database: "\(directory)/Alice/namespace.sqlite"
    case .log: "\(directory)/Alice/namespace.sqlite-wal"
    case .copy: "$(ls -S \(directory)/Alice/parts/??/* | head -1)"
    case .users: "$DIR/dfs-\(server).conf"
    case .identity: "\(directory)/.dfs/identity"
    }
  }

  func run() async throws -> FaultMatrix.Row {
    var row = FaultMatrix.Row(fault: "\(target.rawValue): \(fault.rawValue)", server: "\(server)")
    try await damage()
    row.start = try await start()
    row.list = try await list()
    row.get = try await getAll()
    row.put = try await put()
    row.scrub = try await scrub()
    row.repaired = try await repair(row.start)
    row.after = try await compare()
    return row
  }

  private func damage() async throws {
    // Changes that are in the log only.
    try await succeed("echo \(number) | dfc $CONF put - tree/before\(number)")
    try await succeed("echo \(number) > $LOCAL/tree/before\(number)")
    try cluster.servers.giveOwnUsersFile(server)
    if target == .log {
      try await cluster.servers.kill(server)
    } else {
      try await cluster.servers.stop(server)
    }
    try await succeed(
      "cp -a \(directory) $LOCAL/before; "
        + "python3 $LOCAL/fault.py \(fault) \(file) \(number)")
  }

  /// What the server says about it.
  private func start() async throws -> String {
    let before = cluster.servers.log(of: server).utf8.count
    try cluster.servers.start(server)
    func news() -> String {
      String(decoding: cluster.servers.log(of: server).utf8.dropFirst(before), as: UTF8.self)
    }
    try await eventually("\(server) is up, or refuses", within: .seconds(20)) {
      if news().contains("dfs: ") || news().contains("not served any more") { return true }
      guard news().contains("listens on") else { return false }
      return try await isSettled()
    }
    if news().contains("dfs: ") { return "refuses, and says what to do" }
    if news().contains("not served any more") { return "up; the user is refused, with what to do" }
    return news().contains(" error ") || news().contains("nobody can") ? "up; it is logged" : "up"
  }

  /// Whether a login is decided.
  private func isSettled() async throws -> Bool {
    let status = try await shell.bash("dfc $CONF status --json").output
    return !status.contains("still being examined")
  }

  private func list() async throws -> String {
    let result = try await succeed(
      "dfc $CONF list tree/sub/", seconds: Self.patienceSeconds)
    guard result.output.split(separator: "\n").count == 23 else { throw failed("list", result) }
    return "all"
  }

  private func getAll() async throws -> String {
    try await succeed(
      """
      rm -rf $LOCAL/got; mkdir $LOCAL/got; dfc $CONF get -r tree $LOCAL/got
      diff -r $LOCAL/tree $LOCAL/got/tree
      """, seconds: Self.patienceSeconds + 10)
    return "all right"
  }

  /// With all four asked for, and with three.
  private func put() async throws -> String {
    let name = "put\(number)"
    try await succeed("head -c 70000 /dev/urandom > $LOCAL/tree/\(name)")
    let all = try await shell.bash(
      "cd $LOCAL/tree; dfc $CONF put \(name) tree/", seconds: Self.patienceSeconds)
    if all.status == 0 { return "stored" }
    guard [3, 5].contains(all.status) else { throw failed("put", all) }
    try await succeed(
      "cd $LOCAL/tree; dfc $LOCAL/quorum.conf put \(name) tree/", seconds: Self.patienceSeconds)
    return "`all`: refused; `quorum`: stored"
  }

  private func scrub() async throws -> String {
    let result = try await shell.bash("dfc $CONF scrub --wait", seconds: 30)
    guard [0, 1].contains(result.status) else { throw failed("scrub", result) }
    return result.status == 0 ? "no bad copy" : "finds the copy"
  }

  /// As the server's message says.
  private func repair(_ start: String) async throws -> String {
    var how = "healing"
    switch target {
    case .database, .log:
      if start == "up" { break }
      how = "`dfs repair --set-aside`, healing"
      try await cluster.servers.stop(server)
      try await shell.fail("dfs repair \(directory)", status: 1)
      try await shell.fail("dfs repair \(directory) --set-aside", status: 1)
      try await succeed("dfs repair \(directory)")
      try await cluster.servers.restart(server)
    case .copy: break
    case .users:
      how = "the users file copied from another server"
      try await succeed("cp $DIR/dfs.conf $DIR/dfs-\(server).conf")
    case .identity:
      if start == "up" { break }
      how = "the directory set aside, healing"
      try await cluster.servers.kill(server)
      try await succeed("mv \(directory) $LOCAL/aside\(number)")
      try await cluster.servers.restart(server)
    }
    try await succeed("dfc $CONF heal --wait", seconds: 60)
    return how
  }

  /// Everything is back, on all four, and the damage is nowhere.
  private func compare() async throws -> String {
    try await succeed("dfc $CONF heal --wait", seconds: 60)
    try await succeed("dfc $CONF scrub --wait", seconds: 60)
    _ = try await getAll()
    let verified = try await succeed("dfc $CONF verify --all", seconds: 60)
    guard verified.output.contains("all good") else { throw failed("verify", verified) }
    let status = try await succeed("dfc $CONF status")
    let isWhole = status.output.contains(" 0 with reduced redundancy, 0 incomplete")
    guard isWhole, !status.output.contains("down") else { throw failed("status", status) }
    try await succeed("rm -rf $LOCAL/before")
    return "every copy good on all four"
  }
}

extension FaultTrial: CustomStringConvertible {
  var description: String { "\(number): \(target.rawValue), \(fault.rawValue), \(server)" }
}
