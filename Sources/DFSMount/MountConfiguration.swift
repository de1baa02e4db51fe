public import DFSCore
internal import Foundation

/// What a mount is told: from dfc.conf, the command line and its `-o` options.
public struct MountConfiguration: Sendable {
  /// Absolute, without symbolic links.
  public let mountpoint: String
  /// Where spools and the log are; it exists.
  public let cacheDirectory: String
  public var spoolBytes: UInt64
  public var spoolMemoryBytes: Int
  public var writes: WritePolicy
  public var callTimeoutSeconds: Int
  public var options = MountOptions()

  /// Makes the cache directory if it is not there.
  public init(mountpoint: String, client: ClientConfiguration) throws(DFSError) {
    self.mountpoint = mountpoint
    cacheDirectory = try client.cache.make()
    spoolBytes = client.spoolBytes
    spoolMemoryBytes = client.spoolMemoryBytes
    writes = client.writes
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
    let name = mountpoint.drop { $0 == "/" }.map { $0 == "/" ? "-" : String($0) }.joined()
    return cacheDirectory + "/mount-" + (name.isEmpty ? "root" : String(name.suffix(200))) + ".log"
  }
}
