import Foundation

/// A program of this build that runs under watch.
final class Child {
  let name: String
  private let process = Process()
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
    process.executableURL = URL(fileURLWithPath: Self.program(name))
    process.arguments = arguments
    for file in ["input", "output", "errors"] {
      try (file == "input" ? input ?? "" : "").write(
        toFile: "\(files)/\(name).\(file)", atomically: false, encoding: .utf8)
    }
    lines = input == nil ? try Lines() : nil
    let input = lines?.end ?? FileHandle(forReadingAtPath: "\(files)/\(name).input")
    let output = FileHandle(forWritingAtPath: "\(files)/\(name).output")
    let errors = FileHandle(forWritingAtPath: "\(files)/\(name).errors")
    // The process has them; a run has many thousands.
    defer { for handle in [input, output, errors] { try? handle?.close() } }
    (process.standardInput, process.standardOutput) = (input, output)
    process.standardError = errors
    try process.run()
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

  var id: Int32 { process.processIdentifier }
  /// Of one that has ended.
  var status: Int32 { process.terminationStatus }
  var isRunning: Bool { process.isRunning }
  var errors: String { text("errors") }
  var output: String { text("output") }

  private func text(_ file: String) -> String {
    (try? String(contentsOfFile: "\(files)/\(name).\(file)", encoding: .utf8)) ?? ""
  }

  /// What ended it, if that was a fault of the program: a signal that nobody sent.
  var crash: String? {
    guard !process.isRunning, process.terminationReason == .uncaughtSignal else { return nil }
    let all = errors.split(separator: "\n")
    let telling = all.filter { line in
      ["Fatal error", "Program crashed", ".swift:"].contains { line.contains($0) }
    }
    let lines = (telling.isEmpty ? all.suffix(12) : telling.prefix(12)).joined(separator: "\n")
    return "\(name) was ended by signal \(process.terminationStatus)\n\(lines)"
  }

  func kill(_ signal: Int32 = SIGKILL) {
    if process.isRunning { Foundation.kill(process.processIdentifier, signal) }
  }

  /// - Returns: whether it ended in time.
  func wait(seconds: Double, _ meanwhile: () -> Void = {}) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while process.isRunning {
      guard Date() < end else { return false }
      meanwhile()
      usleep(5_000)
    }
    return true
  }
}

/// Standard input of a program that reads no line before it has done what the last one says.
private final class Lines {
  let end: FileHandle
  private let start: Int32

  init() throws {
    var both: [Int32] = [-1, -1]
    guard pipe(&both) == 0 else {
      throw FuzzFailure("no pipe: \(String(cString: strerror(errno)))")
    }
    for descriptor in both { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    end = FileHandle(fileDescriptor: both[0], closeOnDealloc: true)
    start = both[1]
  }

  deinit { close(start) }

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
