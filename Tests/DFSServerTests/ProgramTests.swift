import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

/// `dfs` from outside: exit statuses, signals, users, logs.
@Suite struct ProgramTests {
  private func withDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = TestServer.temporaryDirectory()
    try await body(directory)
    try FileManager.default.removeItem(atPath: directory)
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func aSignalStopsItGracefully(signal: Int32) async throws {
    try await withDirectory { directory in
      let server = try await ServerProcess(directory + "/DFS1")
      #expect(try await server.end(signal) == 0)
      #expect(server.errors.contains("info stopped"))
    }
  }

  @Test func whatWasAcknowledgedIsThereAfterAKill() async throws {
    try await withDirectory { directory in
      try "Alice secret\n".write(
        toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
      var server = try await ServerProcess(directory + "/DFS1")
      var client = try await TestClient.loggedIn(port: server.port)
      let part = PartID(version: .random(), part: PartIndex(1))
      try await client.put(part, [1, 2, 3], durable: true)
      let view = try await client.takeView()
      let head = try await client.append(view, number: 1, inode: 512)
      #expect(try await server.end(SIGKILL) == -SIGKILL)
      server = try await ServerProcess(directory + "/DFS1")
      client = try await TestClient.loggedIn(port: server.port)
      #expect(try await client.ask(Request.Ping()).head == head)
      #expect(try await client.get(part, count: 3) == [1, 2, 3])
      #expect(try await server.end(SIGTERM) == 0)
    }
  }

  @Test(arguments: [
    [], ["./DFS1"], ["./DFS1", "70000"], ["./DFS1", "x"], ["./DFS1", "1", "--sync", "maybe"],
    ["./DFS1", "1", "--connections", "0"], ["user", "sing"], ["user", "add"],
    ["user", "add", "Alice", "secret"],
  ])
  func wrongUsageIs64(arguments: [String]) async throws {
    let result = try await ServerProcess.run(arguments)
    #expect(result.status == 64, "\(arguments): \(result)")
  }

  @Test(arguments: [["--help"], ["help", "serve"], ["user", "--help"]])
  func theHelpTellsTheExitStatuses(arguments: [String]) async throws {
    let result = try await ServerProcess.run(arguments)
    #expect(result.status == 0)
    #expect(result.output.contains("EXIT STATUS"))
  }

  @Test func aPortInUseAndALockedDirectoryAre1() async throws {
    try await withDirectory { directory in
      let server = try await ServerProcess(directory + "/DFS1")
      let port = try await ServerProcess.run([directory + "/DFS2", "\(server.port)"])
      #expect(port.status == 1)
      #expect(port.errors.contains("dfs: 127.0.0.1 port \(server.port) is in use"))
      let lock = try await ServerProcess.run([directory + "/DFS1", "0"])
      #expect(lock.status == 1)
      #expect(lock.errors.contains("dfs: "))
      #expect(try await server.end(SIGTERM) == 0)
    }
  }

  @Test func usersAreAddedListedChangedAndRemoved() async throws {
    try await withDirectory { directory in
      let file = ["--users", directory + "/dfs.conf"]
      func run(_ arguments: [String], _ input: String = "") async throws -> ServerProcess.Result {
        try await ServerProcess.run(["user"] + arguments + file, input: input)
      }
      #expect(try await run(["add", "Alice"], "secret\n").status == 0)
      #expect(try await run(["add", "Alice"], "secret\n").status == 1)
      #expect(try await run(["add", "a/b"], "secret\n").status == 1)
      #expect(try await run(["add", "Bob"], "\n").errors.contains("no password came"))
      let password = directory + "/password"
      try "two words\r\n".write(toFile: password, atomically: true, encoding: .utf8)
      #expect(try await run(["add", "Bob", "--password-file", password]).status == 0)
      #expect(try await run(["list"]).output == "Alice\nBob\n")
      #expect(try await run(["list", "Carol"]).status == 1)
      #expect(try await run(["passwd", "Carol"], "x\n").status == 1)
      #expect(try await run(["passwd", "Alice"], "changed\n").status == 0)
      let server = try await ServerProcess(directory + "/DFS1")
      let alice = try await TestClient.loggedIn(port: server.port, password: "changed")
      try await alice.ask(Request.Ping())
      try await TestClient.loggedIn(port: server.port, user: "Bob", password: "two words").close()
      #expect(try await run(["remove", "Bob"]).status == 0)
      #expect(try await run(["remove", "Bob"]).status == 1)
      await #expect(throws: DFSError.self) {
        try await TestClient.loggedIn(port: server.port, user: "Bob", password: "two words")
      }
      #expect(try await server.end(SIGTERM) == 0)
    }
  }

  @Test func oldUsersAreConvertedAndStillLogIn() async throws {
    try await withDirectory { directory in
      let file = directory + "/dfs.conf"
      try "Alice SimplePassword\n".write(toFile: file, atomically: true, encoding: .utf8)
      let server = try await ServerProcess(directory + "/DFS1")
      try await TestClient.loggedIn(port: server.port, password: "SimplePassword").close()
      #expect(server.errors.contains("dfs user convert --users \(file)"))
      let converted = try await ServerProcess.run(["user", "convert", "--users", file])
      #expect(converted.output == "converted 1 of the users in \(file)\n")
      #expect(!(try String(contentsOfFile: file, encoding: .utf8)).contains("SimplePassword"))
      try await TestClient.loggedIn(port: server.port, password: "SimplePassword").close()
      #expect(try await server.end(SIGTERM) == 0)
    }
  }

  @Test func aLogInJSONIsOneObjectALine() async throws {
    try await withDirectory { directory in
      let server = try await ServerProcess(
        directory + "/DFS1", ["--log-format", "json", "--log-level", "debug"])
      let client = try await TestClient.connect(port: server.port)
      try await client.hello()
      await #expect(throws: DFSError.self) {
        try await client.logIn("Alice\n{\"level\":\"forged\"}", "x")
      }
      #expect(try await server.end(SIGTERM) == 0)
      let lines = server.errors.split(separator: "\n")
      #expect(lines.count > 3)
      for line in lines {
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
        #expect(object?["level"] != nil && object?["message"] != nil && object?["time"] != nil)
        #expect(object?["level"] != "forged")
      }
    }
  }
}
