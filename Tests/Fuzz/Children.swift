import Foundation

/// A program of this build that runs under watch.
final class Child {
  let name: String
  private let process = Process()
  private let files: String

  /// - Parameter files: takes what it prints.
  init(
    _ name: String, _ arguments: [String], input: String = "", files: String,
    isBackground: Bool = false
  ) throws {
    self.name = name
    self.files = files
    process.executableURL = URL(fileURLWithPath: Self.program(name))
    process.arguments = arguments
    for file in ["input", "output", "errors"] {
      try (file == "input" ? input : "").write(
        toFile: "\(files)/\(name).\(file)", atomically: false, encoding: .utf8)
    }
    process.standardInput = FileHandle(forReadingAtPath: "\(files)/\(name).input")
    process.standardOutput = FileHandle(forWritingAtPath: "\(files)/\(name).output")
    process.standardError = FileHandle(forWritingAtPath: "\(files)/\(name).errors")
    try process.run()
  }

  /// Beside this program.
  static func program(_ name: String) -> String {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent(name).path
  }

  var id: Int32 { process.processIdentifier }
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
