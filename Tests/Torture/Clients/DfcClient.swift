import DFSTestSupport
import Foundation
import Glibc

/// Calls of dfc, one process each, as one user of the command line makes them. Used by one thread.
final class DfcClient {
  struct Call {
    let begin: UInt64
    let end: UInt64
    let status: Int32
    let wasKilled: Bool
    let output: [UInt8]
    let errors: String

    /// What it said, for people.
    var text: String { String(decoding: output, as: UTF8.self) + errors }
  }

  let title: String
  private let configuration: String
  private let directory: String
  private let environment: [String: String]

  /// - Parameter directory: of the local disk, for this client alone.
  init(title: String, configuration: String, directory: String) throws {
    (self.title, self.configuration, self.directory) = (title, configuration, directory)
    environment = ["HOME": directory, "XDG_CACHE_HOME": directory]
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
  }

  // MARK: Operations

  func perform(_ operation: Operation, _ recorder: Recorder) throws -> Call {
    let (names, folder) = (recorder.group(operation.group).names, operation.kind.directory + "/")
    let path = folder + names[operation.name]
    let words: [String]
    switch operation.action {
    case .put: words = ["put", try localFile(operation, names[operation.name], recorder), folder]
    case .read: words = ["get", path, directory + "/got"]
    case .remove: words = ["rm", path]
    case .move: words = ["mv", path, folder + names[operation.newName]]
    case .makeDirectory: words = ["mkdir", path]
    default: words = ["list", "--json", folder]
    }
    return try run(words, killAfterMilliseconds: operation.killAfterMilliseconds)
  }

  private func localFile(_ operation: Operation, _ name: String, _ recorder: Recorder) throws
    -> String
  {
    let path = directory + "/" + name
    let bytes = Content.bytes(operation.number, size: operation.size)
    recorder.made(operation, md5: Content.md5(of: bytes), size: bytes.count)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  /// What the last get fetched.
  func takeFetched() -> [UInt8] {
    let path = directory + "/got"
    defer { unlink(path) }
    return Array(FileManager.default.contents(atPath: path) ?? Data())
  }

  // MARK: Processes

  func run(_ words: [String], killAfterMilliseconds: Int? = nil) throws -> Call {
    let (output, errors) = (directory + "/output", directory + "/errors")
    unlink(output)
    unlink(errors)
    let begin = Clock.now
    let process = try ChildProcess.start(
      Programs.path("dfc"), [configuration] + words, environment: environment,
      output: .file(output), errors: .file(errors))
    var wasKilled = false
    if let killAfterMilliseconds {
      usleep(useconds_t(killAfterMilliseconds) * 1000)
      wasKilled = true
      process.kill()
    }
    let status = process.wait()
    return Call(
      begin: begin, end: Clock.now, status: status, wasKilled: wasKilled && status == 128 + SIGKILL,
      output: Array(FileManager.default.contents(atPath: output) ?? Data()),
      errors: String(
        decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self))
  }
}
