import DFSCore
import Glibc
import Logging

/// Log lines on standard error; each is one write, and what came from outside has its control characters
/// escaped.
struct LogOutput: LogHandler {
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let words =
      [Timestamp.now.universal, "\(event.level)", "dfc:", "\(event.message)".printable]
      + fields.map { "\($0.key)=\("\($0.value)".printable)" }
    let line = Array((words.joined(separator: " ") + "\n").utf8)
    _ = line.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
