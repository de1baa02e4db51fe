import DFSClient
import DFSConfiguration
import DFSCore
import DFSMount
import Foundation
import Logging
import Synchronization
import Testing

extension Trait where Self == ConditionTrait {
  /// The machine lets this process mount.
  static var needsFuse: Self {
    .enabled(if: FileManager.default.fileExists(atPath: "/dev/fuse"), "there is no /dev/fuse")
  }
}

/// A real mount of files in memory, in this process. What touches it runs in child processes.
final class Mounted: Sendable {
  let directory: String
  let files: MemoryFiles
  let mounts: [Mount]
  let log: CapturedLog
  var path: String { mounts[0].mountpoint }

  static func run(
    _ files: MemoryFiles = MemoryFiles(), mounts: Int = 1, options: [String] = [],
    configure: (inout MountConfiguration) -> Void = { _ in },
    _ body: (Mounted) async throws -> Void
  ) async throws {
    let mounted = try await Mounted(files, mounts, options, configure)
    do {
      try await body(mounted)
    } catch {
      Issue.record("\(error)")
    }
    for mount in mounted.mounts { await mount.stop(within: .seconds(5)) }
    try FileManager.default.removeItem(atPath: mounted.directory)
  }

  private init(
    _ files: MemoryFiles, _ count: Int, _ options: [String],
    _ configure: (inout MountConfiguration) -> Void
  ) async throws {
    self.files = files
    directory = NSTemporaryDirectory() + "dfs-mount-" + UUID().uuidString
    log = CapturedLog()
    var mounts: [Mount] = []
    for index in 1...count {
      let path = directory + "/m\(index)"
      let cache = directory + "/cache\(index)"
      for folder in [path, cache, directory + "/local"] {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true)
      }
      var client = ClientConfiguration(servers: [])
      client.cacheDirectory = cache
      var configuration = try MountConfiguration(mountpoint: path, client: client)
      configuration.options = try MountOptions(parsing: options)
      configure(&configuration)
      mounts.append(
        try await Mount.start(
          MemoryClient(files), configuration, source: "memory", logger: log.logger))
    }
    self.mounts = mounts
  }

  struct Outcome {
    let status: Int32
    let output: String
  }

  /// Runs a script with bash; `M` is the first mount, `M2` the second, `LOCAL` a local directory.
  func bash(_ script: String, seconds: Int = 60) async throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    let out = directory + "/out-\(UUID().uuidString)"
    process.arguments = [
      "--kill-after=5", "\(seconds)", "/bin/bash", "-c",
      "exec >\(out) 2>&1 </dev/null; set -e -o pipefail; " + script,
    ]
    var environment = ProcessInfo.processInfo.environment
    for (index, mount) in mounts.enumerated() {
      environment[index == 0 ? "M" : "M\(index + 1)"] = mount.mountpoint
    }
    environment["LOCAL"] = directory + "/local"
    environment["HOME"] = directory
    environment["LC_ALL"] = "C"
    process.environment = environment
    let status = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    let data = FileManager.default.contents(atPath: out) ?? Data()
    return Outcome(status: status, output: String(decoding: data, as: UTF8.self))
  }

  /// Runs a script that must succeed.
  @discardableResult
  func succeed(
    _ script: String, seconds: Int = 60, at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let outcome = try await bash(script, seconds: seconds)
    #expect(
      outcome.status == 0, "\(script)\nstatus \(outcome.status)\n\(outcome.output)\n\(log.text)",
      sourceLocation: location)
    return outcome.output
  }

  /// Runs a script that must fail, and not by the time limit.
  @discardableResult
  func fail(
    _ script: String, seconds: Int = 60, at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let outcome = try await bash(script, seconds: seconds)
    #expect(
      ![0, 124, 137].contains(outcome.status), "\(script)\n\(outcome)", sourceLocation: location)
    return outcome.output
  }
}

/// What was logged, for the tests to look at.
final class CapturedLog: Sendable {
  private let lines = Mutex<[String]>([])

  var text: String { lines.withLock { $0.joined(separator: "\n") } }
  var logger: Logger {
    Logger(label: "mount") { _ in Handler(log: self) }
  }

  private struct Handler: LogHandler {
    let log: CapturedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      log.lines.withLock { $0.append("\(event.level) \(event.message)") }
    }
  }
}
