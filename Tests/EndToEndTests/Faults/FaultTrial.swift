import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// One row of the matrix: a file of one server is damaged, or calls on it fail; everything is tried;
/// the server is brought back as its own message says; everything is compared.
struct FaultTrial {
  let cluster: MountedCluster
  let target: EndToEnd.StorageFaults.Target
  let fault: EndToEnd.StorageFaults.Fault
  let server: ServerIndex
  let number: Int
  let seed: Int

  var directory: String { "$DIR/\(server)" }
  var shell: Shell { cluster.shell }
  var usersFile: String { "$DIR/dfs-\(server).conf" }

  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  /// How long a call may take while a server is damaged.
  private static let patienceSeconds = 12

  func run() async throws -> FaultMatrix.Row {
    let aside = try await quarantinedElsewhere()
    try await succeed("echo \(number) | dfc $CONF put - tree/before\(number)")
    try await succeed("echo \(number) > $LOCAL/tree/before\(number)")
    try cluster.servers.giveOwnUsersFile(server)
    var row = FaultMatrix.Row(fault: "\(target.rawValue): \(fault.rawValue)", server: "\(server)")
    try await (fault.isEdit ? runEdited(&row) : runFailing(&row))
    row.after = try await compare()
    guard try await quarantinedElsewhere() == aside else {
      throw Failed(description: "\(self): a good server has set something aside")
    }
    return row
  }

  // MARK: Scripts

  /// Runs a script that must succeed: what comes after a failure says nothing.
  @discardableResult
  func succeed(_ script: String, seconds: Int = 60) async throws -> Shell.Result {
    let result = try await shell.bash("set -e; " + script, seconds: seconds)
    guard result.status == 0 else { throw failed(script, result) }
    return result
  }

  func failed(_ script: String, _ result: Shell.Result) -> Failed {
    let (output, errors) = (result.output.suffix(1500), result.errors.suffix(1500))
    return Failed(description: "\(self): \(script): \(result.status)\n\(output)\n\(errors)")
  }

  // MARK: Starting

  /// Where the log of the server ends now.
  var logEnd: Int { cluster.servers.log(of: server).utf8.count }

  func news(since mark: Int) -> String {
    String(decoding: cluster.servers.log(of: server).utf8.dropFirst(mark), as: UTF8.self)
  }

  /// Starts the server.
  /// - Returns: what it says about the fault.
  func start() async throws -> String {
    let mark = logEnd
    try cluster.servers.start(server)
    let said = ["dfs: ", "not served any more", "cannot be served"]
    try await eventually("\(self) is up, or refuses", within: .seconds(20)) {
      let now = news(since: mark)
      if said.contains(where: { now.contains($0) }) { return true }
      guard now.contains("listens on") else { return false }
      return try await isSettled()
    }
    let end = news(since: mark)
    if end.contains("dfs: ") {
      try await eventually("\(self) ends", within: .seconds(10)) {
        cluster.servers.process(of: server) == nil
      }
      guard end.contains(/start the server again|restore/) else {
        throw Failed(description: "\(self): no remedy: \(end)")
      }
      return "refuses, and says what to do"
    }
    if end.contains("not served any more") { return "up; the user is refused, with what to do" }
    if end.contains("cannot be served") { return "up; the user is refused as long as it lasts" }
    return end.contains(" error ") || end.contains("nobody can") ? "up; it is logged" : "up"
  }

  /// Whether a login is decided.
  private func isSettled() async throws -> Bool {
    let status = try await shell.bash("dfc $CONF status --json").output
    return !status.contains("still being examined")
  }

  // MARK: What is tried

  func list() async throws -> String {
    let result = try await succeed("dfc $CONF list tree/sub/", seconds: Self.patienceSeconds)
    guard result.output.split(separator: "\n").count == 23 else { throw failed("list", result) }
    return "all"
  }

  func getAll() async throws -> String {
    try await succeed(
      """
      rm -rf $LOCAL/got; mkdir $LOCAL/got; dfc $CONF get -r tree $LOCAL/got
      diff -r $LOCAL/tree $LOCAL/got/tree
      """, seconds: Self.patienceSeconds + 10)
    return "all right"
  }

  /// A file whose parts travel in the change, and one whose parts are files; what is acknowledged
  /// must be there from then on.
  func put(_ name: String = "put") async throws -> String {
    let small = try await put("\(name)-small\(number)", bytes: 70_000)
    let large = try await put("\(name)-large\(number)", bytes: 300_000)
    return small == large ? small : "small \(small); large \(large)"
  }

  /// With all four asked for, and where that is refused, with three.
  private func put(_ name: String, bytes: Int) async throws -> String {
    let all = try await shell.bash(
      "cd $LOCAL/new; head -c \(bytes) /dev/urandom > \(name); dfc $CONF put \(name) tree/",
      seconds: Self.patienceSeconds)
    if all.status != 0 {
      guard [1, 3, 5].contains(all.status), try await !isListed(name) else {
        throw failed("put", all)
      }
      let isFull = all.errors.lowercased().contains("no space")
      if fault == .full, all.status == 1, !isFull { throw failed("put", all) }
      try await succeed(
        "cd $LOCAL/new; dfc $LOCAL/quorum.conf put \(name) tree/", seconds: Self.patienceSeconds)
    }
    try await succeed("mv $LOCAL/new/\(name) $LOCAL/tree/")
    return all.status == 0 ? "stored" : "`all`: refused; `quorum`: stored"
  }

  private func isListed(_ name: String) async throws -> Bool {
    try await succeed("dfc $CONF list tree/").output.contains(name)
  }

  func scrub() async throws -> String {
    let result = try await shell.bash("dfc $CONF scrub --wait", seconds: 30)
    guard [0, 1].contains(result.status) else { throw failed("scrub", result) }
    return result.status == 0 ? "no bad copy" : "finds the copy"
  }

  /// One pass, with the fault still there; afterwards no good server has caught it.
  func heal() async throws -> String {
    let result = try await shell.bash("dfc $CONF heal", seconds: 30)
    guard [0, 1].contains(result.status) else { throw failed("heal", result) }
    let verified = try await shell.bash("dfc $CONF verify --all", seconds: 30)
    let isElsewhere = verified.output.split(separator: "\n").contains { line in
      line.contains(": part ") && !line.contains(" on \(server) is ")
    }
    guard [0, 1].contains(verified.status), !isElsewhere else { throw failed("verify", verified) }
    return result.status == 0 ? "done" : "waits for the server"
  }

  /// What the other servers have quarantined as damaged.
  private func quarantinedElsewhere() async throws -> String {
    try await shell.bash("ls -d $DIR/DFS?/Alice/damaged/* | grep -v /\(server)/ || true").output
  }

  // MARK: The end

  /// `dfs repair`, which says what there is to do, and setting aside if there is something.
  func repairDatabase() async throws -> String {
    try await cluster.servers.stop(server)
    let isDamaged = try await shell.bash("dfs repair \(directory)").status == 1
    if isDamaged {
      try await shell.fail("dfs repair \(directory) --quarantine", status: 1)
      try await succeed("dfs repair \(directory)")
    }
    try await cluster.servers.restart(server)
    return isDamaged ? "`dfs repair --quarantine`, healing" : "a new start, healing"
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
    return "every copy good on all four"
  }
}

extension FaultTrial: CustomStringConvertible {
  var description: String {
    "row \(number): \(target.rawValue), \(fault.rawValue), \(server), DFS_TEST_SEED=\(seed)"
  }
}
