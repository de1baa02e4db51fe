internal import DFSCore
internal import Glibc
internal import Logging

/// Log lines on standard error: text for people, or one JSON object a line. Each line is one write,
/// and what came from outside has its control characters escaped.
struct LogOutput: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  let isJSON: Bool

  static func logger(level: Logger.Level, isJSON: Bool) -> Logger {
    Logger(label: "dfs") { _ in LogOutput(logLevel: level, isJSON: isJSON) }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
    if let error = event.error { fields["error"] = "\(error)" }
    let pairs = fields.sorted { $0.key < $1.key }
    let line =
      isJSON
      ? json([("time", now), ("level", "\(event.level)"), ("message", "\(event.message)")] + pairs)
      : "\(now) \(event.level) \("\(event.message)".printable)"
        + pairs.map { " \($0.key)=\($0.value.printable)" }.joined()
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private func json(_ fields: [(String, String)]) -> String {
    "{" + fields.map { "\(quoted($0.0)):\(quoted($0.1))" }.joined(separator: ",") + "}"
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
        result += "\\u00" + [UInt8(truncatingIfNeeded: scalar.value)].hexadecimal
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The time as in RFC 3339, UTC, to the millisecond.
  private var now: String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var parts = tm()
    gmtime_r(&time.tv_sec, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let text = buffer.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { String(cString: $0) } ?? ""
    }
    let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
    return "\(text).\(milliseconds)Z"
  }
}
