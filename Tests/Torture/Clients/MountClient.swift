import DFSTestSupport
import Foundation
import Glibc

/// A worker on a mount, as the torture sees it. Used by one thread.
final class MountClient {
  let title: String
  private let mount: String
  private var process: ChildProcess?
  private var channel: Int32 = -1
  private var rest: [UInt8] = []

  /// - Parameter title: for people.
  init(title: String, mount: String) throws {
    self.title = title
    self.mount = mount
    try start()
  }

  private func start() throws {
    let ends = try Channel()
    process = try ChildProcess.start(
      Programs.own, ["--worker", mount], input: .descriptor(ends.theirs),
      output: .descriptor(ends.theirs), errors: .descriptor(2))
    close(ends.theirs)
    channel = ends.ours
  }

  func perform(_ operation: Operation, _ recorder: Recorder, seconds: Int) throws -> WorkerAnswer {
    let names = recorder.group(operation.group).names
    var command = WorkerCommand(
      action: Self.action(operation.action), directory: operation.kind.directory)
    command.name = names[operation.name]
    command.newName = names[operation.newName]
    command.number = operation.number
    command.size = operation.size
    command.isDurable = operation.isDurable
    command.pauseMilliseconds = operation.pauseMilliseconds
    return try perform(command, seconds: seconds)
  }

  /// - Parameter seconds: how long the answer may take.
  func perform(_ command: WorkerCommand, seconds: Int) throws -> WorkerAnswer {
    var line = try JSONEncoder().encode(command)
    line.append(UInt8(ascii: "\n"))
    let count = line.withUnsafeBytes { write(channel, $0.baseAddress, $0.count) }
    guard count == line.count,
      let answer = readLine(until: Clock.now + UInt64(seconds) * 1_000_000_000)
    else { throw TortureFailure("\(title) gave no answer to \(command) in \(seconds) s") }
    return try JSONDecoder().decode(WorkerAnswer.self, from: Data(answer))
  }

  private func readLine(until deadline: UInt64) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        defer { rest.removeFirst(end + 1) }
        return Array(rest[..<end])
      }
      let now = Clock.now
      guard now < deadline else { return nil }
      var wait = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
      poll(&wait, 1, Int32((deadline - now) / 1_000_000) + 1)
      guard wait.revents != 0 else { continue }
      let count = read(channel, &buffer, buffer.count)
      guard count > 0 else { return nil }
      rest += buffer[..<count]
    }
  }

  private static func action(_ action: Operation.Action) -> WorkerCommand.Action {
    switch action {
    case .write, .put: .write
    case .create: .create
    case .save: .save
    case .append: .append
    case .patch: .patch
    case .read: .read
    case .stat: .stat
    case .remove: .remove
    case .move: .move
    case .makeDirectory: .makeDirectory
    case .removeDirectory: .removeDirectory
    case .list: .list
    }
  }
}
