public import ArgumentParser
internal import DFSCore
internal import DFSSystem
internal import Glibc
public import Logging

/// Log lines on standard error, or in a file: text for display, or one JSON object a line. Each line is
/// one write, and what came from outside has its control characters escaped.
public struct LogOutput: LogHandler {
  /// How an event becomes a line: a time, a level and words, or a JSON object (RFC 8259).
  public enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case text, json }

  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  private let format: Format
  private let descriptor: Int32

  /// - Parameter descriptor: open for writing; nil is standard error.
  public init(level: Logger.Level, format: Format = .text, descriptor: Int32? = nil) {
    logLevel = level
    self.format = format
    self.descriptor = descriptor ?? STDERR_FILENO
  }

  /// A logger with this output.
  public func logger(label: String) -> Logger { Logger(label: label) { _ in self } }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) { writeAll(line(event, at: .now) + "\n", to: descriptor) }

  func line(_ event: LogEvent, at time: Timestamp) -> String {
    var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
    if let error = event.error { fields["error"] = "\(error)" }
    let pairs = fields.sorted { $0.key < $1.key }
    let time = time.universalMilliseconds
    switch format {
    case .text:
      return "\(time) \(event.level) \("\(event.message)".printable)"
        + pairs.map { " \($0.key)=\($0.value.printable)" }.joined()
    case .json:
      let first = [("time", time), ("level", "\(event.level)"), ("message", "\(event.message)")]
      return Self.json(first + pairs.map { ($0.key, $0.value) })
    }
  }

  private static func json(_ fields: [(String, String)]) -> String {
    "{" + fields.map { "\(quoted($0.0)):\(quoted($0.1))" }.joined(separator: ",") + "}"
  }

  private static func quoted(_ text: String) -> String {
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
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
