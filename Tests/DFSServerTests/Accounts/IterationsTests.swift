import DFSCore
import DFSWire
import Foundation
import Testing

@testable import DFSServer

/// How often passwords are hashed.
@Suite struct IterationsTests {
  private static func iterations(_ path: String) throws -> [String: Int] {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    var found: [String: Int] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      found[String(words[0])] = ScramVerifier(text: String(words[1]))?.iterations
    }
    return found
  }

  private static func dfs(_ words: String, _ path: String) async throws -> ServerProcess.Result {
    try await ServerProcess.run(
      ["user"] + words.split(separator: " ").map(String.init) + ["--users", path],
      input: "a pass phrase\n")
  }

  /// New passwords get as many as this release makes or as was asked for; old ones keep theirs until they
  /// are changed.
  @Test func newPasswordsGetMoreAndOldOnesKeepTheirs() async throws {
    let path = TestServer.temporaryDirectory() + "/dfs.conf"
    let old = try ScramVerifier(password: "x", iterations: 4096).text
    try "Old \(old)\nOlder \(old)\nPlain secret\n".write(
      toFile: path, atomically: true, encoding: .utf8)
    #expect(try await Self.dfs("add New", path).status == 0)
    #expect(try await Self.dfs("add Asked --iterations 20000", path).status == 0)
    #expect(try await Self.dfs("passwd Older", path).status == 0)
    #expect(try await Self.dfs("convert --iterations 30000", path).status == 0)
    #expect(ScramVerifier.defaultIterations >= ScramVerifier.leastIterations)
    #expect(ScramVerifier.leastIterations == 15_000)
    #expect(
      try Self.iterations(path) == [
        "Old": 4096, "Older": ScramVerifier.defaultIterations, "Plain": 30_000,
        "New": ScramVerifier.defaultIterations, "Asked": 20_000,
      ])
  }

  @Test(arguments: [0, -1, 4096, 14_999, 1_000_001])
  func tooFewAndTooManyAreRefused(_ iterations: Int) async throws {
    let path = TestServer.temporaryDirectory() + "/dfs.conf"
    let result = try await Self.dfs("add Alice --iterations=\(iterations)", path)
    #expect(result.status == 1)
    #expect(result.errors.contains("the limits are 15000 to 1000000"))
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}
