public import DFSCore
internal import Foundation
internal import Glibc
public import Logging

/// Log lines to a file or to standard error; each is one write, and what came from outside has its
/// control characters escaped.
public struct LogFile: LogHandler {
  /// A file that has grown beyond this is put aside when a mount begins.
  private static let bound = 16 << 20

  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  private let descriptor: Int32

  /// - Parameter path: nil is standard error.
  public static func logger(to path: String?, level: Logger.Level) throws(DFSError) -> Logger {
    let descriptor = try path.map { path throws(DFSError) in try open(path) } ?? STDERR_FILENO
    return Logger(label: "dfs-mount") { _ in LogFile(logLevel: level, descriptor: descriptor) }
  }

  static func open(_ path: String) throws(DFSError) -> Int32 {
    let descriptor = try openToAppend(path)
    guard lseek(descriptor, 0, SEEK_END) > bound,
      rename(path.systemPath, (path + ".1").systemPath) == 0
    else {
      return descriptor
    }
    close(descriptor)
    return try openToAppend(path)
  }

  private static func openToAppend(_ path: String) throws(DFSError) -> Int32 {
    let descriptor = Glibc.open(path.systemPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system("cannot write the log \(path.printable)") }
    return descriptor
  }

  private init(logLevel: Logger.Level, descriptor: Int32) {
    self.logLevel = logLevel
    self.descriptor = descriptor
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let words =
      [Date().formatted(.iso8601), "\(event.level)", "\(event.message)".printable]
      + fields.map { "\($0.key)=\("\($0.value)".printable)" }
    let line = Array((words.joined(separator: " ") + "\n").utf8)
    _ = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }
}
