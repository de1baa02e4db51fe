import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// Calls of the running server on one kind of its files fail, as on a broken or full disk
/// (Tests/FailingFiles): while it runs, and when it is started again. Then the fault is lifted.
extension FaultTrial {
  private var failing: FailingFiles { cluster.servers.failingFiles(of: server) }

  private var patterns: [String] {
    let user = "*/\(server)/Alice"
    return switch target {
    case .database:
      ["\(user)/namespace.sqlite"] + (fault == .readError ? [] : ["\(user)/namespace.mark*"])
    case .log: ["\(user)/namespace.sqlite-wal"]
    case .copy: ["\(user)/parts/*", "\(user)/tmp/*"]
    case .users: ["*/dfs-\(server).conf*"]
    case .identity: ["*/\(server)/.dfs/identity*"]
    }
  }

  private func beginFault() throws {
    switch fault {
    case .readError: try failing.fail(.read, EIO, patterns)
    case .writeError: try failing.fail(.write, EIO, patterns)
    case .full: try failing.fail(.write, ENOSPC, patterns)
    default: try failing.fail(.sync, EIO, patterns)
    }
  }

  func runFailing(_ row: inout FaultMatrix.Row) async throws {
    if target == .identity {
      try await runIdentity(&row)
    } else {
      try await runLive(&row)
    }
    try failing.lift()
    row.repaired = try await bringBack()
    guard failing.retried == 0 else {
      throw Failed(description: "\(self): \(failing.retried) fsyncs were tried again")
    }
  }

  /// Only a start reads the identity, and only the first one writes it.
  private func runIdentity(_ row: inout FaultMatrix.Row) async throws {
    try await cluster.servers.stop(server)
    if fault != .readError {
      row.fault = ".dfs/identity, in an empty directory: \(fault.rawValue)"
      try await succeed("mv \(directory) $LOCAL/aside\(number)")
    }
    try beginFault()
    row.start = try await start()
    try requireStrike()
    row.list = try await list()
    row.get = try await getAll()
    row.put = try await put()
    row.scrub = try await scrub()
    row.heal = try await heal()
  }

  /// A fault that met no call proves nothing.
  private func requireStrike() throws {
    guard failing.struck > 0 else { throw Failed(description: "\(self): the fault never struck") }
  }

  private func runLive(_ row: inout FaultMatrix.Row) async throws {
    let process = cluster.servers.process(of: server)
    let log = "\(directory)/Alice/namespace.sqlite-wal"
    try await succeed("dfc $CONF heal --wait; cp \(log) $LOCAL/log-before")
    try beginFault()
    let users = target == .users ? try await useUsers() : ""
    row.put = users + (try await put())
    row.list = try await list()
    row.get = try await getAll()
    if target == .database, fault != .readError { try await moveLog() }
    row.scrub = try await scrub()
    row.heal = try await heal()
    if fault == .full { row.put += "; with room again: \(try await goOn(process))" }
    if fault == .syncError {
      for server in ServerIndex.all { try await cluster.servers.kill(server) }
      // What could not be brought to the disk is not there.
      if target == .log { try await succeed("cp $LOCAL/log-before \(log)") }
      for other in ServerIndex.all where other != server {
        try await cluster.servers.restart(other)
      }
    } else {
      try await cluster.servers.kill(server)
    }
    row.start = try await start()
    _ = try await list()
    _ = try await getAll()
    // Fails again, so that the stop that follows finds a server that must not try it once more.
    if fault == .syncError { _ = try await put("second") }
    // (Of a full disk, `goOn` has asked.)
    if fault != .full { try requireStrike() }
  }

  /// The users file is read when it has changed, and written by `dfs user`.
  private func useUsers() async throws -> String {
    if fault == .readError {
      try await succeed("touch \(usersFile)")
      return ""
    }
    let variables = failing.environment.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    let message = fault == .full ? "No space left on device" : "Input/output error"
    try await succeed(
      """
      cp \(usersFile) $LOCAL/users; echo Secret > $LOCAL/secret; status=0
      env \(variables) dfs user add Bob --users \(usersFile) --password-file $LOCAL/secret \
        2>$LOCAL/why || status=$?
      cat $LOCAL/why >&2; [ $status = 1 ]; grep -q '\(message)' $LOCAL/why
      cmp \(usersFile) $LOCAL/users; [ "$(ls \(usersFile)*)" = \(usersFile) ]
      """)
    return "`dfs user add`: refused, nothing changed; `put`: "
  }

  /// So many changes that the log is moved into the database.
  private func moveLog() async throws {
    try await succeed(
      """
      mkdir -p $LOCAL/fill
      for i in $(seq 45); do head -c 120000 /dev/urandom > $LOCAL/fill/f$i; done
      dfc $LOCAL/quorum.conf put -r $LOCAL/fill
      dfc $LOCAL/quorum.conf rm -r fill
      """)
    try await eventually("\(self) strikes", within: .seconds(15)) { failing.struck > 0 }
  }

  /// The same process stores again as soon as there is room, and then the disk is full again.
  private func goOn(_ process: Int32?) async throws -> String {
    try requireStrike()
    try failing.lift()
    let outcome = try await put("again")
    guard outcome == "stored", cluster.servers.process(of: server) == process else {
      throw Failed(description: "\(self): it does not go on when there is room: \(outcome)")
    }
    try beginFault()
    _ = try await put("full")
    return outcome
  }

  /// As the server's message says.
  private func bringBack() async throws -> String {
    guard cluster.servers.process(of: server) != nil else {
      try await cluster.servers.restart(server)
      return "a new start, healing"
    }
    let status = try await succeed("dfc $CONF status || true").output
    if status.contains("dfs repair") { return try await repairDatabase() }
    if status.contains("start the server again") {
      try await cluster.servers.stop(server)
      try await cluster.servers.restart(server)
      return "a new start, healing"
    }
    return "healing"
  }
}
