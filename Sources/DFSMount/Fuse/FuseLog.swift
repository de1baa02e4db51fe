internal import CFuse
internal import Glibc
internal import Logging
internal import Synchronization

/// What libfuse says: to the log, and the last line as the cause of a failed mount.
enum FuseLog {
  private static let state = Mutex<(last: String, logger: Logger?)>(
    (
      "the system gave no reason; fusermount3, /dev/fuse and a directory of your own are needed",
      nil
    ))

  /// libfuse has one log for the process.
  static func install(_ logger: Logger) {
    state.withLock { $0.logger = logger }
    fuse_set_log_func { _, format, arguments in
      guard let format, let arguments else { return }
      var text = [CChar](repeating: 0, count: 1024)
      _ = vsnprintf(&text, text.count, format, arguments)
      FuseLog.note(text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
  }

  private static func note(_ text: String) {
    let line = text.split(separator: "\n").joined(separator: " ")
    let logger = state.withLock { state in
      state.last = line
      return state.logger
    }
    logger?.warning("libfuse: \(line)")
  }

  static var last: String { state.withLock { $0.last } }
}
