import DFSTestSupport
import Foundation
import Synchronization

/// The program `dfs` as a process of its own.
final class ServerProcess: Sendable {
  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  let pid: Int32
  let port: Int
  private let process: Mutex<Process>
  private let errorsPath: String
  private let outputPath: String

  /// Starts `dfs DIRECTORY 0 …` and waits until it says where it listens.
  init(_ directory: String, _ arguments: [String] = []) async throws {
    let files = TestServer.temporaryDirectory()
    errorsPath = files + "/errors"
    outputPath = files + "/output"
    let process = try Self.process([directory, "0"] + arguments, files)
    try process.run()
    pid = process.processIdentifier
    let path = files + "/output"
    try await eventually("the server listens") {
      guard process.isRunning else {
        throw NeverHappened("it ended: \(Self.text(files + "/errors"))")
      }
      return Self.text(path).contains("\n")
    }
    let line = Self.text(path).prefix { $0 != "\n" }
    port = line.split(separator: ":").last.flatMap { Int($0) } ?? 0
    self.process = Mutex(process)
  }

  var residentBytes: Int { FourServers.residentBytes(process: pid) }
  var errors: String { Self.text(errorsPath) }
  var output: String { Self.text(outputPath) }

  /// Sends a signal and waits for the end.
  /// - Returns: the exit status, or the signal negated if that ended it.
  func end(_ signal: Int32) async throws -> Int32 {
    kill(pid, signal)
    try await eventually("dfs ends", within: .seconds(30)) {
      process.withLock { !$0.isRunning }
    }
    return process.withLock {
      $0.terminationReason == .exit ? $0.terminationStatus : -$0.terminationStatus
    }
  }

  /// Runs `dfs`, or another program of this package, to its end.
  static func run(
    _ arguments: [String], input: String = "", program: String? = nil
  ) async throws -> Result {
    let files = TestServer.temporaryDirectory()
    let process = try process(arguments, files)
    if let program {
      process.executableURL = URL(fileURLWithPath: BuiltProgram.path(program))
    }
    try input.write(toFile: files + "/input", atomically: false, encoding: .utf8)
    process.standardInput = FileHandle(forReadingAtPath: files + "/input")
    try process.run()
    try await eventually("\(program ?? "dfs") ends", within: .seconds(60)) { !process.isRunning }
    defer { try? FileManager.default.removeItem(atPath: files) }
    return Result(
      status: process.terminationStatus, output: text(files + "/output"),
      errors: text(files + "/errors"))
  }

  private static func process(_ arguments: [String], _ files: String) throws -> Process {
    let process = Process()
    let program =
      ProcessInfo.processInfo.environment["DFS_TEST_SERVER"] ?? BuiltProgram.path("dfs")
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    for name in ["output", "errors"] {
      _ = FileManager.default.createFile(atPath: files + "/" + name, contents: nil)
    }
    process.standardOutput = FileHandle(forWritingAtPath: files + "/output")
    process.standardError = FileHandle(forWritingAtPath: files + "/errors")
    return process
  }

  private static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }

  private struct NeverHappened: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
