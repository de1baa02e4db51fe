import DFSCore
import DFSWire
import Foundation
import Logging
import NIOCore
import Testing

@testable import DFSServer

@Suite struct UsersTests {
  private func name(_ text: String) throws -> UserName { try UserName(text) }

  @Test func oldAndNewLinesAndCommentsAreRead() throws {
    let verifier = try ScramVerifier(password: "x").text
    let file = UsersFile(
      text: "# users\r\n\nAlice SimplePassword\r\nBob\t\(verifier)\n  Carol   two words  ")
    #expect(file.problems == [])
    #expect(file.names.map(\.text) == ["Alice", "Bob", "Carol"])
    #expect(file.usersWithPasswords.map(\.text) == ["Alice", "Carol"])
  }

  @Test func brokenLinesAreReportedKeptAndHarmless() throws {
    let text = "a/b secret\nAlice\nBob SCRAM-SHA-256$broken\nCarol ok\nCarol again\nDora ok\n"
    var file = UsersFile(text: text)
    #expect(file.problems.map(\.line) == [1, 2, 3, 5])
    #expect(file.names.map(\.text) == ["Carol", "Dora"])
    #expect(file.text == text)
    try file.set(try name("Bob"), password: "new")
    try file.set(try name("Carol"), password: "new")
    let again = UsersFile(text: file.text)
    #expect(again.problems.map(\.line) == [2, 3], "the lines moved by one")
    #expect(again.names.map(\.text) == ["Bob", "Carol", "Dora"])
  }

  @Test func convertingLeavesNoPassword() throws {
    var file = UsersFile(text: "# note\nAlice secret\nBob other\n")
    #expect(file.secret == nil)
    #expect(try file.convert() == 2)
    #expect(!file.text.contains("secret\n") && !file.text.contains("other"))
    #expect(file.text.contains("# note\n"))
    #expect(try file.convert() == 0)
    #expect(UsersFile(text: file.text).secret == file.secret)
    #expect(file.secret?.count == 32)
    #expect(file.remove(try name("Alice")))
    #expect(!file.remove(try name("Alice")))
  }

  @Test func theFileIsReplacedInOneStepAndPrivate() throws {
    let directory = TestServer.temporaryDirectory()
    let path = directory + "/dfs.conf"
    try "Alice secret\n".write(toFile: path, atomically: false, encoding: .utf8)
    let link = directory + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    _ = try UsersDisk.change(link) { users throws(DFSError) in try users.convert() }
    #expect(try UsersDisk.read(path).usersWithPasswords == [])
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 2)
    let refused = #expect(throws: DFSError.self) {
      try UsersDisk.change(path) { _ throws(DFSError) in throw DFSError(.exists, "no") }
    }
    #expect(refused?.code == .exists)
    try FileManager.default.removeItem(atPath: directory)
  }

  /// root adds a user, and the server, which runs as somebody else, must read the file.
  @Test(.enabled(if: geteuid() == 0, "needs root, to give a file away"))
  func theFileStaysItsOwners() throws {
    let directory = TestServer.temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let (path, other) = (directory + "/dfs.conf", directory + "/new.conf")
    try "Alice secret\n".write(toFile: path, atomically: false, encoding: .utf8)
    chown(path, 1000, 2000)
    chown(directory, 1001, 2001)
    for (path, owner, group) in [(path, 1000, 2000), (other, 1001, 2001)] {
      try UsersDisk.change(path) { users throws(DFSError) in
        try users.set(UserName("Bob"), password: "new")
      }
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.ownerAccountID] as? Int == owner)
      #expect(attributes[.groupOwnerAccountID] as? Int == group)
    }
  }

  @Test func changesAtTheSameTimeAreAllKept() async throws {
    let path = TestServer.temporaryDirectory() + "/dfs.conf"
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<8 {
        group.addTask {
          let user = try UserName("user\(index)")
          try UsersDisk.change(path) { users throws(DFSError) in
            try users.set(user, password: "p")
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try UsersDisk.read(path).names.count == 8)
  }

  @Test func guessesAreSlowedByAddress() {
    let throttle = LoginThrottle()
    let start = NIODeadline.now()
    let delays = (0..<8).map { _ in
      throttle.delayOfFailure(from: "a", now: start).nanoseconds / 1_000_000
    }
    #expect(delays == [50, 100, 200, 400, 800, 1600, 2000, 2000])
    #expect(throttle.delayOfFailure(from: "b", now: start) == .milliseconds(50))
    let later = start + .seconds(61)
    #expect(throttle.delayOfFailure(from: "a", now: later) == .milliseconds(50))
  }

  @Test func theThrottleForgets() {
    let throttle = LoginThrottle()
    let start = NIODeadline.now()
    for index in 0..<20_000 { _ = throttle.delayOfFailure(from: "\(index)", now: start) }
    #expect(throttle.count <= 10_000)
  }

  @Test func theDefaultUsersFileIsBesideTheDirectoryElseInIt() throws {
    let directory = TestServer.temporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: directory + "/DFS1", withIntermediateDirectories: false)
    let log = LogLines()
    let users = Users(
      paths: Users.defaultPaths(directory: directory + "/DFS1"), secret: [1], logger: log.logger)
    #expect(try users.answer(for: "Alice").user == nil)
    #expect(log.lines.contains { $0.contains("there is no users file") })
    try "Alice in\n".write(toFile: directory + "/DFS1/dfs.conf", atomically: true, encoding: .utf8)
    #expect(try users.answer(for: "Alice").user != nil)
    try "Bob beside\n".write(toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    #expect(try users.answer(for: "Alice").user == nil)
    #expect(try users.answer(for: "Bob").user != nil)
    try FileManager.default.removeItem(atPath: directory)
  }
}
