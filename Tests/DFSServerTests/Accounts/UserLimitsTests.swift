import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

@testable import DFSServer

/// What a person may write as a user's limits, in the file and on the command line.
@Suite struct UserLimitsTests {
  private static let good: [(String, UInt64?)] = [
    ("quota=1", 1), ("quota=1b", 1), ("quota=10k", 10 << 10), ("quota=10K", 10 << 10),
    ("quota=3MiB", 3 << 20), ("quota=10G", 10 << 30), ("quota=1048576T", 1 << 60),
    ("quota=1152921504606846976", 1 << 60), ("quota=none", nil), ("quota=", nil),
  ]

  /// Each with what the error must tell: the word, the limit or the remedy.
  private static let wrong: [(word: String, facts: [String])] = [
    ("quota=10X", ["quota=10X is not a size", "K, M, G or T"]),
    ("quota=10 G", ["is not a size"]), ("quota=ib", ["is not a size"]),
    ("quota=10ib", ["is not a size"]),
    ("quota=G", ["is not a size"]), ("quota=1.5G", ["is not a size"]),
    ("quota=0x10", ["is not a size"]),
    ("quota=-1", ["quota=-1 is not a size"]), ("quota=-10G", ["is not a size"]),
    ("quota=+1", ["is not a size"]), ("quota=١", ["is not a size"]),
    ("quota=unlimited", ["is not a size"]),
    ("quota=0", ["quota=0 is out of range", "1 to 1152921504606846976", "quota=none"]),
    ("quota=0G", ["quota=0G is out of range"]),
    ("quota=1048577T", ["out of range", "1048576T"]),
    ("quota=1152921504606846977", ["out of range"]),
    ("quota=18446744073709551615", ["out of range"]),
    ("quota=18446744073709551616", ["out of range"]),
    ("quota=18446744073709551615T", ["out of range"]),
    ("quota=" + String(repeating: "9", count: 4000), ["out of range", "…"]),
    ("quota=1\u{1b}[2J", ["quota=1\\x1b[2J is not a size"]),
    ("connections=0", ["connections=0 is out of range", "1 to 1000000", "connections=none"]),
    ("connections=-1", ["out of range"]), ("connections=1000001", ["out of range"]),
    ("connections=9223372036854775808", ["out of range"]), ("connections=many", ["1 to 1000000"]),
    ("connections=1K", ["1 to 1000000"]),
    ("quote=1G", ["'quote=1G' is not a limit", "quota=SIZE or connections=NUMBER"]),
    ("quota", ["'quota' is not a limit"]), ("=1G", ["is not a limit"]), ("", ["'' is not a limit"]),
    ("Quota=1G", ["is not a limit"]),
  ]

  @Test func sizesThatAreRightAreTaken() throws {
    for (word, bytes) in Self.good {
      #expect(try UserLimits([word[...]]).quotaBytes == bytes, "\(word)")
    }
    #expect(try UserLimits(["connections=1000000"]).connections == 1_000_000)
    #expect(try UserLimits(["connections=none"]).connections == nil)
    let both = try UserLimits(["connections=3", "quota=2K"])
    #expect(both.description == "quota=2048 connections=3")
    #expect(try UserLimits(both.description.split(separator: " ")) == both)
  }

  @Test func whatIsWrongIsRefusedWithFactLimitAndRemedy() {
    for (word, facts) in Self.wrong {
      let error = #expect(throws: DFSError.self, "\(word)") { _ = try UserLimits([word[...]]) }
      #expect(error?.code == .configuration)
      for fact in facts { #expect(error?.message.contains(fact) == true, "\(error as Any)") }
      let text = error?.message ?? ""
      #expect(text.utf8.count < 400 && !text.contains("\u{1b}"), "\(text)")
    }
  }

  @Test func aBoundThatIsThereTwiceIsRefused() {
    for words in [["quota=1G", "quota=2G"], ["connections=1", "quota=1", "connections=none"]] {
      let error = #expect(throws: DFSError.self) { _ = try UserLimits(words.map { $0[...] }) }
      #expect(error?.message.contains("= is there twice") == true, "\(error as Any)")
    }
  }

  // MARK: The file

  /// A line with a wrong limit lets nobody in without it, is told with its number, and harms no other.
  @Test func wrongLimitsInTheFileAreAProblemOfTheirLine() throws {
    let verifier = try ScramVerifier(password: "x", iterations: 4096).text
    for (word, facts) in Self.wrong where !word.isEmpty && !word.contains(" ") {
      let file = UsersFile(text: "Alice \(verifier) \(word)\nBob \(verifier) quota=1G\n")
      #expect(file.problems.map(\.line) == [1], "\(word)")
      for fact in facts {
        #expect(file.problems.first?.message.contains(fact) == true, "\(file.problems)")
      }
      #expect(file.names.map(\.text) == ["Bob"])
      #expect(file.limits[try UserName("Bob")]?.quotaBytes == 1 << 30)
    }
    let twice = UsersFile(text: "Alice \(verifier) quota=1G quota=2G\n")
    #expect(twice.problems.first?.message.contains("quota= is there twice") == true)
  }

  /// Who sets limits of such a line is told what is wrong with it.
  @Test func boundsOfALineThatCannotBeReadAreNotSet() throws {
    let verifier = try ScramVerifier(password: "x", iterations: 4096).text
    var file = UsersFile(text: "Alice \(verifier) quota=10X\nCarol secret\n")
    let broken = #expect(throws: DFSError.self) {
      try file.set(try UserName("Alice"), limits: UserLimits())
    }
    #expect(broken?.message.contains("line 1: quota=10X is not a size") == true, "\(broken as Any)")
    let readable = #expect(throws: DFSError.self) {
      try file.set(try UserName("Carol"), limits: UserLimits())
    }
    #expect(readable?.message.contains("dfs user convert") == true, "\(readable as Any)")
  }

  // MARK: The command

  @Test func theCommandRefusesThemAndLeavesTheFile() async throws {
    let directory = TestServer.temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/dfs.conf"
    let verifier = try ScramVerifier(password: "x", iterations: 4096).text
    let text = "# secret: 00\nAlice \(verifier) quota=1048576\nBob secret\n"
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    func set(_ words: [String]) async throws -> ServerProcess.Result {
      try await ServerProcess.run(["user", "set"] + words + ["--users", path])
    }
    for word in ["quota=10X", "quota=0", "quota=18446744073709551616", "connections=0", "quote=1"] {
      let result = try await set(["Alice", "connections=7", word])
      #expect(result.status == 1 && result.output.isEmpty, "\(result)")
      #expect(result.errors.hasPrefix("dfs: ") && result.errors.contains(word), "\(result)")
    }
    let twice = try await set(["Alice", "quota=1G", "quota=2G"])
    #expect(twice.status == 1 && twice.errors.contains("quota= is there twice"), "\(twice)")
    #expect(try await set(["Alice", "--quota", "1G"]).status == 64)
    #expect(try await set([]).status == 64)
    let nobody = try await set(["Carol", "quota=1G"])
    #expect(nobody.status == 1 && nobody.errors.contains("'Carol' is not in"), "\(nobody)")
    let readable = try await set(["Bob", "quota=1G"])
    #expect(readable.status == 1 && readable.errors.contains("dfs user convert"), "\(readable)")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == text)

    let shown = try await set(["Alice"])
    #expect(shown.status == 0 && shown.output == "Alice: quota=1048576\n", "\(shown)")
    let changed = try await set(["Alice", "quota=2M", "connections=7"])
    #expect(changed.output == "Alice: quota=2097152 connections=7\n", "\(changed)")
    let none = try await set(["Alice", "quota=none", "connections="])
    #expect(none.output == "Alice: no limits of its own\n", "\(none)")
    #expect(
      try String(contentsOfFile: path, encoding: .utf8)
        == text.replacing(" quota=1048576", with: ""))
  }

  // MARK: Connections

  /// `connections=` of the users file, for a user who is logged in already, too.
  @Test func connectionsAreBoundedAsTheFileSays() async throws {
    let verifier = try ScramVerifier(password: "secret", iterations: 4096).text
    let other = try ScramVerifier(password: "other", iterations: 4096).text
    try await withServer(users: "Alice \(verifier) connections=2\nBob \(other)\n") { server in
      let cache = ScramCache()
      func logIn() async throws -> TestClient {
        try await TestClient.loggedIn(port: server.port, cache: cache)
      }
      let first = try await logIn()
      let second = try await logIn()
      let refused = await #expect(throws: DFSError.self) { _ = try await logIn() }
      #expect(refused?.code == .busy)
      #expect(refused?.message.contains("2 connections of 'Alice'") == true, "\(refused as Any)")
      #expect(refused?.message.contains("dfs user set") == true, "\(refused as Any)")
      for client in [first, second] { try await client.ask(Request.Ping()) }
      for _ in 0..<3 {
        _ = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      }
      let raised = try await ServerProcess.run(
        ["user", "set", "Alice", "connections=3", "--users", server.usersFile])
      #expect(raised.status == 0, "\(raised)")
      let third = try await logIn()
      #expect(await #expect(throws: DFSError.self) { _ = try await logIn() }?.code == .busy)
      try await third.ask(Request.Ping())
      try await third.close()
      try await eventually("the place is free again") { (try? await logIn()) != nil }
    }
  }
}
