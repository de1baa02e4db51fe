import DFSCore
import DFSTestSupport
import Testing

/// Files that are edited behind the server's back while it is stopped (for the log of the database,
/// after kill -9: a clean stop leaves none).
extension FaultTrial {
  private var file: String {
    switch target {
    case .database: "\(directory)/Alice/namespace.sqlite"
    case .log: "\(directory)/Alice/namespace.sqlite-wal"
    case .copy: "$(ls -S \(directory)/Alice/parts/??/* | head -1)"
    case .users: usersFile
    case .identity: "\(directory)/.dfs/identity"
    }
  }

  func runEdited(_ row: inout FaultMatrix.Row) async throws {
    if target == .log {
      row.fault = "log of the database, after kill -9: \(fault.rawValue)"
      try await cluster.servers.kill(server)
    } else {
      try await cluster.servers.stop(server)
    }
    try await succeed("python3 $LOCAL/fault.py \(fault) \(file) \(seed * 100 + number)")
    row.start = try await start()
    row.list = try await list()
    row.get = try await getAll()
    row.put = try await put()
    row.scrub = try await scrub()
    row.heal = try await heal()
    row.repaired = try await repair(row.start)
  }

  /// As the server's message says.
  private func repair(_ start: String) async throws -> String {
    switch target {
    case .database, .log: return start == "up" ? "healing" : try await repairDatabase()
    case .copy: return "healing"
    case .users:
      try await succeed("cp $DIR/dfs.conf \(usersFile)")
      return "the users file copied from another server"
    case .identity:
      try await cluster.servers.kill(server)
      try await succeed("mv \(directory) $LOCAL/aside\(number)")
      try await cluster.servers.restart(server)
      return "the directory quarantined, healing"
    }
  }
}
