import DFSTestSupport
import Foundation

/// A program of this build that runs under watch.
final class Child {
  let name: String
  private let process: ChildProcess
  /// Of one that has ended: its exit status; 128 and the signal's number if one ended it.
  private var end: Int32?
  private let files: String
  private let lines: Lines?

  /// - Parameters:
  ///   - input: all that it reads; nil: it reads what `say` tells it.
  ///   - files: takes what it prints.
  init(
    _ name: String, _ arguments: [String], input: String? = "", files: String
  ) throws {
    self.name = name
    self.files = files
    for file in ["input", "output", "errors"] {
      try (file == "input" ? input ?? "" : "").write(
        toFile: "\(files)/\(name).\(file)", atomically: false, encoding: .utf8)
    }
    let lines = input == nil ? try Lines() : nil
    self.lines = lines
    let text = open("\(files)/\(name).input", O_RDONLY | O_CLOEXEC)
    defer { close(text) }
    process = try ChildProcess.start(
      Self.program(name), arguments, input: .descriptor(lines?.end ?? text),
      output: .file("\(files)/\(name).output"), errors: .file("\(files)/\(name).errors"))
    lines?.isTaken()
  }

  /// A line of its input.
  func say(_ line: String) { lines?.write(line) }

  /// Whether it has done what the lines say, and waits for the next one.
  var isIdle: Bool { lines?.areDone ?? false }

  /// Beside this program.
  static func program(_ name: String) -> String {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent(name).path
  }

  var id: Int32 { process.id }
  /// Of one that has ended.
  var status: Int32? { isRunning ? nil : end }
  var isRunning: Bool {
    if end == nil { end = process.endIfEnded() }
    return end == nil
  }
  var errors: String { text("errors") }
  var output: String { text("output") }

  private func text(_ file: String) -> String {
    (try? String(contentsOfFile: "\(files)/\(name).\(file)", encoding: .utf8)) ?? ""
  }

  /// What ended it, if that was a fault of the program: a signal that nobody sent.
  var crash: String? {
    // 130 is also how dfc ends after an answer that something was cancelled.
    guard !isRunning, let end, end > 128, end != 130 else { return nil }
    let all = errors.split(separator: "\n")
    let telling = all.filter { line in
      ["Fatal error", "Program crashed", ".swift:"].contains { line.contains($0) }
    }
    let lines = (telling.isEmpty ? all.suffix(12) : telling.prefix(12)).joined(separator: "\n")
    return "\(name) was ended by signal \(end - 128)\n\(lines)"
  }

  func kill(_ signal: Int32 = SIGKILL) { if isRunning { process.kill(signal) } }

  /// - Returns: whether it ended in time.
  func wait(seconds: Double, _ meanwhile: () -> Void = {}) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while isRunning {
      guard Date() < end else { return false }
      meanwhile()
      usleep(5_000)
    }
    return true
  }
}

/// Standard input of a program that reads no line before it has done what the last one says.
private final class Lines {
  private(set) var end: Int32
  private let start: Int32

  init() throws {
    var both: [Int32] = [-1, -1]
    guard pipe(&both) == 0 else {
      throw FuzzFailure("no pipe: \(String(cString: strerror(errno)))")
    }
    for descriptor in both { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    (end, start) = (both[0], both[1])
  }

  deinit {
    isTaken()
    close(start)
  }

  /// The program has its end.
  func isTaken() {
    if end >= 0 { close(end) }
    end = -1
  }

  /// An empty line follows, which is read when what the line says is done.
  func write(_ line: String) {
    let bytes = Array("\(line)\n\n".utf8)
    _ = Foundation.write(start, bytes, bytes.count)
  }

  var areDone: Bool {
    var unread: Int32 = 0
    return ioctl(start, UInt(FIONREAD), &unread) == 0 && unread == 0
  }
}

/// How much memory a process has resident, over the run.
struct MemoryCurve {
  private(set) var samples: [Int] = []

  mutating func sample(_ bytes: Int) { if bytes > 0 { samples.append(bytes) } }

  private func peak(_ part: Range<Double>) -> Int {
    let count = Double(samples.count)
    return samples[Int(part.lowerBound * count)..<Int(part.upperBound * count)].max() ?? 0
  }

  /// The peak of the last quarter is that of the second one, or little more.
  var problem: String? {
    guard samples.count >= 8 else { return nil }
    let (early, late) = (peak(0.25..<0.5), peak(0.75..<1))
    guard late > early + early / 4 + 48 << 20 else { return nil }
    return "resident memory grew from \(early >> 20) to \(late >> 20) MiB"
  }

  var summary: String { "\((samples.max() ?? 0) >> 20) MiB at most" }
}
