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

  /// Makes the cache directory if it is not there: of the configuration, else in the user's cache.
  public init(mountpoint: String, client: ClientConfiguration) throws(DFSError) {
    self.mountpoint = mountpoint
    cacheDirectory = client.spoolDirectory
    spoolBytes = client.spoolBytes
    spoolMemoryBytes = client.spoolMemoryBytes
    writes = client.writes
    callTimeoutSeconds = client.callTimeoutSeconds
    do {
      try FileManager.default.createDirectory(
        atPath: cacheDirectory, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    } catch {
      throw DFSError(
        .inputOutput, "cannot make the cache directory \(cacheDirectory)", cause: error)
    }
  }

  /// One log for each mountpoint.
  public var defaultLogFile: String {
    let name = mountpoint.drop { $0 == "/" }.map { $0 == "/" ? "-" : String($0) }.joined()
    return cacheDirectory + "/mount-" + (name.isEmpty ? "root" : String(name.suffix(200))) + ".log"
  }
}
