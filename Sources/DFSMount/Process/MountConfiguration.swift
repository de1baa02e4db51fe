public import DFSConfiguration
public import DFSCore
internal import DFSSystem
internal import Glibc

/// What a mount is told: from dfc.conf, the command line and its `-o` options.
public struct MountConfiguration: Sendable {
  /// Absolute, without symbolic links; the bytes as `ByteText` has them.
  public let mountpoint: String
  /// Where spools are, in UTF-8 (`ByteText.plainPath`); it exists.
  public let cacheDirectory: String
  /// The same directory, as it is named; the log is there, unless it is elsewhere.
  private let logDirectory: String
  /// Bytes of disk that all spools may take, and as many for contents that are kept.
  public var spoolBytes: UInt64
  /// Bytes of one range that a spool has in memory at most.
  public var spoolMemoryBytes: Int
  /// How many servers a write needs: three, unless dfc.conf or an option says otherwise.
  public var writes: WritePolicy
  /// Seconds that a call may take without progress.
  public var callTimeoutSeconds: Int
  /// What the `-o` options say.
  public var options = MountOptions()

  /// Makes the cache directory if it is not there.
  public init(mountpoint: String, client: ClientConfiguration) throws(DFSError) {
    self.mountpoint = mountpoint
    logDirectory = try client.cache.make()
    cacheDirectory = try ByteText.plainPath(logDirectory)
    spoolBytes = client.spoolBytes
    spoolMemoryBytes = client.spoolMemoryBytes
    // Work goes on while a machine restarts; dfc by itself asks for all servers.
    writes = client.configuredWrites ?? .quorum
    callTimeoutSeconds = client.callTimeoutSeconds
  }

  /// The name of this machine, up to its first dot.
  static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
    let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self)
  }

  /// One log for each mountpoint.
  public var defaultLogFile: String {
    let slash = UInt8(ascii: "/")
    let name = ByteText.bytes(of: mountpoint).drop { $0 == slash }
      .map { $0 == slash ? UInt8(ascii: "-") : $0 }
    let short = name.isEmpty ? "root" : ByteText.text(of: name.suffix(200))
    return logDirectory + "/mount-" + short + ".log"
  }
}
