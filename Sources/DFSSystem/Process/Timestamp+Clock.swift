public import DFSCore
internal import Glibc

/// Times of this machine, and as text.
extension Timestamp {
  /// The wall clock of this machine (clock_gettime(2)).
  public static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
  }

  /// `2026-11-23 05:54`, in the time zone of the process.
  public var local: String { local("%Y-%m-%d %H:%M") }

  /// In the time zone of the process.
  /// - Parameter format: of strftime(3).
  public func local(_ format: String) -> String {
    var (seconds, parts) = (time_t(seconds), tm())
    localtime_r(&seconds, &parts)
    return Self.text(format, parts)
  }

  /// `2026-11-23T05:54:12Z` (RFC 3339).
  public var universal: String { universal("%Y-%m-%dT%H:%M:%S") + "Z" }

  /// `2026-11-23T05:54:12.345Z` (RFC 3339).
  public var universalMilliseconds: String {
    let milliseconds = String(1000 + fraction / 1_000_000).dropFirst()
    return universal("%Y-%m-%dT%H:%M:%S") + ".\(milliseconds)Z"
  }

  private func universal(_ format: String) -> String {
    var (seconds, parts) = (time_t(seconds), tm())
    gmtime_r(&seconds, &parts)
    return Self.text(format, parts)
  }

  private static func text(_ format: String, _ parts: tm) -> String {
    var (parts, buffer) = (parts, [CChar](repeating: 0, count: 64))
    let count = strftime(&buffer, buffer.count, format, &parts)
    return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
