import DFSConfiguration
import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

@testable import DFSServer

/// `dfs repair` over directories of real servers, after a hostile client of the user or a hostile server was
/// there, until `dfc` works with them again.
@Suite(.serialized) struct RepairProgramTests {
  private typealias Result = ServerProcess.Result

  /// Four servers with a tree of one large file and 14 small ones, in the end removed.
  private func withTree(
    _ body: (FourServers, _ tree: String) async throws -> Void
  ) async throws {
    let users = ["Alice": FourServers.password, "Bob": FourServers.password]
    let four = try await FourServers(users: users)
    let tree = four.directory + "/local/tree"
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    for number in 0..<15 {
      let bytes = [UInt8](repeating: UInt8(number), count: number == 0 ? 600_000 : 10 + number)
      try Data(bytes).write(to: URL(fileURLWithPath: tree + "/f\(number)"))
    }
    do {
      try await dfc(four, "put", "-r", tree)
      try await body(four, tree)
    } catch {
      Issue.record("\(error)")
    }
    try await four.remove()
  }

  @discardableResult
  private func dfc(
    _ four: FourServers, _ words: String..., status: Int32 = 0,
    at location: SourceLocation = #_sourceLocation
  ) async throws -> Result {
    let result = try await ServerProcess.run([four.configurationFile] + words, program: "dfc")
    #expect(result.status == status, "\(words): \(result)", sourceLocation: location)
    return result
  }

  private func repair(
    _ four: FourServers, _ server: Int, _ words: String..., status: Int32 = 0,
    at location: SourceLocation = #_sourceLocation
  ) async throws -> Result {
    let directory = four.directory(of: ServerIndex(server))
    let result = try await ServerProcess.run(["repair", directory] + words)
    #expect(result.status == status, "\(words): \(result)", sourceLocation: location)
    return result
  }

  private func client(
    _ four: FourServers, _ server: Int, user: String = "Alice"
  ) async throws -> TestClient {
    let client = try await TestClient.connect(port: four.addresses[server].port)
    try await client.hello(server: "DFS\(server + 1)")
    try await client.logIn(user, FourServers.password)
    return client
  }

  private func head(_ client: TestClient) async throws -> Head {
    try await client.ask(Request.Ping()).head
  }

  /// Replaces all rows by none, as a client may that was told so by a hostile server.
  private func empty(_ client: TestClient, _ view: View, number: UInt64) async throws {
    try await client.ask(Request.RefillBegin(view, own: nil))
    let to = Head(view: view, number: number, digest: .empty)
    let answer = try await client.ask(Request.RefillEnd(view, to: to))
    #expect(answer == .installed(to))
  }

  private func expectTree(_ four: FourServers, _ tree: String, _ comment: Comment) async throws {
    let got = four.directory + "/local/got-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: got, withIntermediateDirectories: true)
    try await dfc(four, "get", "-r", "tree", got)
    for name in try FileManager.default.contentsOfDirectory(atPath: tree) {
      #expect(
        FileManager.default.contentsEqual(
          atPath: tree + "/" + name, andPath: got + "/tree/" + name), "\(comment): \(name)")
    }
  }

  /// Stores a new file.
  private func put(
    _ four: FourServers, _ name: String, at location: SourceLocation = #_sourceLocation
  ) async throws {
    let path = four.directory + "/local/" + name
    try name.write(toFile: path, atomically: true, encoding: .utf8)
    try await dfc(four, "put", path, at: location)
    let got = try await dfc(four, "get", name, "-", at: location)
    #expect(got.output == name, sourceLocation: location)
  }

  private func keptRows(_ text: String) throws -> String {
    let mark = "  kept rows: "
    let line = try #require(text.split(separator: "\n").last { $0.hasPrefix(mark) }, "\(text)")
    return String(line.dropFirst(mark.count))
  }

  // MARK: Rows

  @Test func rowsThatWereReplacedByNoneComeBackWithTheProgram() async throws {
    try await withTree { four, tree in
      for server in 0..<4 {
        let client = try await client(four, server)
        let head = try await head(client)
        let view = View(
          round: head.view.round + 5, client: ClientID(66), namespace: head.view.namespace)
        try await empty(client, view, number: head.number + 1000)
      }
      #expect(try await dfc(four, "list").output.isEmpty)
      for server in ServerIndex.all { try await four.stop(server) }
      for server in 0..<3 {
        let found = try await repair(four, server)
        let file = try keptRows(found.output)
        let done = try await repair(four, server, "--user", "Alice", "--restore", file)
        #expect(done.output.contains("restored, up to change "), "\(done)")
        // The rows of nobody are kept in turn only if there were some.
        #expect(try await repair(four, server).output.contains("Alice: good, "))
      }
      // The one that is still empty, in a later view, stays away, then begins anew.
      for server in 0..<3 { try await four.restart(ServerIndex(server)) }
      try await expectTree(four, tree, "three servers")
      try FileManager.default.removeItem(atPath: four.directory(of: ServerIndex(3)))
      try await four.restart(ServerIndex(3))
      try await dfc(four, "heal", "--wait")
      try await dfc(four, "status")
      try await expectTree(four, tree, "four servers")
      try await put(four, "more")
    }
  }

  @Test func restoringWhatIsNotThereOrNotTheirsIsRefused() async throws {
    try await withTree { four, tree in
      let inUse = try await repair(four, 0, status: 1)
      #expect(inUse.errors.contains("dfs: ") && inUse.output.isEmpty, "\(inUse)")
      let lowering = try await repair(four, 0, "--lower-rounds", status: 1)
      #expect(lowering.output.isEmpty, "\(lowering)")
      try await leaveRowsOfBob(four)
      try await four.stop(ServerIndex(0))
      let bobs = try keptRows(try await repair(four, 0, "--user", "Bob").output)
      let before = try await repair(four, 0, "--user", "Alice").output
      try "no rows".write(
        toFile: four.directory + "/text.sqlite", atomically: true, encoding: .utf8)
      for (file, fact) in [
        (four.directory + "/none.sqlite", "is not there; 'dfs repair DIR' names what is kept"),
        (four.directory + "/text.sqlite", "is not as it was kept"),
        (bobs, "these rows are of another namespace"),
      ] {
        let refused = try await repair(
          four, 0, "--user", "Alice", "--restore", file, status: 1)
        #expect(refused.errors.contains(fact), "\(refused)")
        #expect(try await repair(four, 0, "--user", "Alice").output == before)
      }
      for words in [
        ["repair"], ["repair", four.directory(of: ServerIndex(0)), "--restore", bobs],
        ["repair", four.directory(of: ServerIndex(0)), "--restore"],
        ["repair", four.directory(of: ServerIndex(0)), "--lower-rounds=yes"],
      ] {
        let wrong = try await ServerProcess.run(words)
        #expect(wrong.status == 64, "\(words): \(wrong)")
      }
      let nobody = try await repair(four, 0, "--user", "Carol", "--restore", bobs, status: 1)
      #expect(nobody.errors.contains("Carol has nothing on this server"), "\(nobody)")
      let elsewhere = try await ServerProcess.run(["repair", tree, "--lower-rounds"])
      #expect(elsewhere.status == 1 && elsewhere.errors.contains("is not a directory of a server"))
      // Nothing was harmed.
      try await four.restart(ServerIndex(0))
      try await expectTree(four, tree, "after all refusals")
    }
  }

  /// Bob's rows on DFS1 are replaced by none, and kept.
  private func leaveRowsOfBob(_ four: FourServers) async throws {
    let bob = try await client(four, 0, user: "Bob")
    let view = try await bob.takeView()
    for number in UInt64(1)...12 { _ = try await bob.append(view, number: number, inode: number) }
    let next = View(round: 2, client: view.client, namespace: view.namespace)
    try await empty(bob, next, number: 500)
  }

  /// A database that is damaged is neither restored nor lowered, and that is said by the status.
  @Test func aDamagedDatabaseIsNotAmended() async throws {
    try await withTree { four, _ in
      try await leaveRowsOfBob(four)
      try await four.stop(ServerIndex(0))
      let file = try keptRows(try await repair(four, 0, "--user", "Bob").output)
      let database = four.directory(of: ServerIndex(0)) + "/Bob/namespace.sqlite"
      try Data(repeating: 7, count: 100_000).write(to: URL(fileURLWithPath: database))
      let refused = try await repair(
        four, 0, "--user", "Bob", "--restore", file, "--lower-rounds", status: 1)
      #expect(refused.output.contains("Bob: damaged"), "\(refused)")
      #expect(refused.output.contains("nothing was restored or lowered"), "\(refused)")
      #expect(!refused.output.contains("up to change"), "\(refused)")
    }
  }

  // MARK: Rounds

  /// One server has promised a view that its three fellows have not heard of: it is left out.
  @Test func aPromiseOfOneServerIsTakenBackWithTheProgram() async throws {
    try await withTree { four, tree in
      let hostile = try await client(four, 3)
      let before = try await head(hostile)
      let far = View(round: 1 << 30, client: ClientID(66), namespace: before.view.namespace)
      try await hostile.ask(Request.Namespace(.prepare(far), durable: true))
      // The three others go on without it.
      let policy = "Writes quorum\n"
      try addConfiguration(four, policy)
      try await put(four, "one more")
      #expect(try await head(hostile).number == before.number)
      try await dfc(four, "status", status: 1)
      try await four.stop(ServerIndex(3))

      let found = try await repair(four, 3)
      #expect(found.output.contains("of a round that no client can have got to"), "\(found)")
      let json = try await repair(four, 3, "--json", "--lower-rounds").output
      #expect(json.contains("\"hasAbsurdRound\":true") && json.contains("\"isLowered\":true"))
      let again = try await repair(four, 3, "--lower-rounds")
      #expect(!again.output.contains("round"), "there is nothing more to lower: \(again)")
      try await four.restart(ServerIndex(3))
      try await put(four, "another")
      try await dfc(four, "heal", "--wait")
      try await dfc(four, "status")
      #expect(try await head(try await client(four, 3)).view.round < 1000)
      try await expectTree(four, tree, "four servers")
    }
  }

  /// A hostile client of the user took all four, step by step, to rounds near the end of all.
  @Test func absurdRoundsOfAllServersAreLoweredWithTheProgram() async throws {
    try await withTree { four, tree in
      for server in 0..<4 {
        let hostile = try await client(four, server)
        let head = try await head(hostile)
        var view = head.view
        for step in 1...258 as ClosedRange<UInt64> {
          view = View(
            round: step * Limits.roundsAhead, client: ClientID(66), namespace: head.view.namespace)
          try await hostile.ask(Request.Namespace(.prepare(view)))
        }
        let to = Head(view: view, number: head.number, digest: head.digest)
        let install = NamespaceRequest.install(view, from: head, changes: [], to: to)
        let answer = try await hostile.ask(
          Request.Namespace(install, durable: true))
        #expect(answer == .installed(to))
      }
      for server in ServerIndex.all { try await four.stop(server) }
      for server in 0..<4 {
        let done = try await repair(four, server, "--lower-rounds")
        #expect(done.output.contains("the round of its view was lowered"), "\(done)")
      }
      for server in ServerIndex.all { try await four.restart(server) }
      try await expectTree(four, tree, "lowered")
      try await put(four, "one more")
      try await dfc(four, "status")
      for server in 0..<4 {
        #expect(try await head(try await client(four, server)).view.round < 1000)
      }
    }
  }

  private func addConfiguration(_ four: FourServers, _ line: String) throws {
    let text = try String(contentsOfFile: four.configurationFile, encoding: .utf8) + line
    try text.write(toFile: four.configurationFile, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o600], ofItemAtPath: four.configurationFile)
  }
}
