import DFSTestSupport
import Foundation
import Testing

/// Runs real programs. Whatever touches the mount runs in a child process, so that a file system
/// call that waits never holds a thread of this process.
struct Shell {
  struct Result {
    let status: Int32
    let output: String
    let errors: String

    /// What was printed without its last line break.
    var line: String { output.hasSuffix("\n") ? String(output.dropLast()) : output }
  }

  /// Where the programs under test are.
  static let programs = folder(of: "dfs")

  private static func folder(of program: String) -> String {
    URL(fileURLWithPath: BuiltProgram.path(program)).deletingLastPathComponent().path
  }

  var environment: [String: String]

  /// - Parameter variables: added to the environment, with the programs in front of PATH.
  init(_ variables: [String: String] = [:]) {
    var environment = ProcessInfo.processInfo.environment
    // The example is only built for debugging.
    let rest = environment["PATH"] ?? "/usr/bin:/bin"
    environment["PATH"] = "\(Self.programs):\(Self.folder(of: "dfs-example")):\(rest)"
    environment["LC_ALL"] = "C"
    environment["GIT_CONFIG_GLOBAL"] = "/dev/null"
    environment["GIT_CONFIG_NOSYSTEM"] = "1"
    environment.merge(variables) { $1 }
    self.environment = environment
  }

  /// Runs a script with bash and waits for its end; after `seconds` it is killed (status 124 or
  /// 137). Its output goes through files, so that a daemon that it leaves behind keeps no pipe open.
  func bash(_ script: String, seconds: Int = 60) async throws -> Result {
    let folder = NSTemporaryDirectory() + "/shell-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = [
      "--kill-after=5", "\(seconds)", "/bin/bash", "-c",
      "exec >\(folder)/out 2>\(folder)/err </dev/null; set -o pipefail; " + script,
    ]
    process.environment = environment
    let status = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    return Result(
      status: status, output: Self.text(folder + "/out"), errors: Self.text(folder + "/err"))
  }

  /// Runs a script that must succeed, with `set -e`; a failure is recorded with what it printed.
  @discardableResult
  func succeed(
    _ script: String, seconds: Int = 60, _ comment: Comment? = nil,
    at location: SourceLocation = #_sourceLocation
  ) async throws -> Result {
    let result = try await bash("set -e; " + script, seconds: seconds)
    #expect(
      result.status == 0, "\(comment.map { "\($0): " } ?? "")\(script)\n\(result)",
      sourceLocation: location)
    return result
  }

  /// Runs a script that must end with a status other than 0 (and not by the time limit).
  @discardableResult
  func fail(
    _ script: String, seconds: Int = 60, status: Int32? = nil,
    at location: SourceLocation = #_sourceLocation
  ) async throws -> Result {
    let result = try await bash("set -e; " + script, seconds: seconds)
    #expect(
      ![0, 124, 137].contains(result.status), "\(script)\n\(result)", sourceLocation: location)
    if let status {
      #expect(result.status == status, "\(script)\n\(result)", sourceLocation: location)
    }
    return result
  }

  private static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }
}
