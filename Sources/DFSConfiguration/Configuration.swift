public import DFSCore
internal import DFSSystem

/// What dfc.conf says (conf/dfc.conf documents every key with its unit, default and limit). Its
/// text is read by ConfigurationReader.swift.

/// Where one server is, and how it is known: a `Server` line of dfc.conf.
public struct ServerAddress: Hashable, Sendable {
  /// DFS1 … DFS4.
  public let name: String
  /// A host name, an IPv4 address, or an IPv6 address without brackets.
  public let host: String
  /// The TCP port: 1 to 65535.
  public let port: Int
  /// The only certificate that is accepted from this server; nil for any, since the login is bound
  /// to whichever it is.
  public let fingerprint: CertificateFingerprint?

  /// Nothing is checked here; what a file says was checked when it was read.
  public init(
    name: String, host: String, port: Int, fingerprint: CertificateFingerprint? = nil
  ) {
    self.name = name
    self.host = host
    self.port = port
    self.fingerprint = fingerprint
  }
}

/// The values of a setting that is on or off, such as `Heal`.
public enum Switch: String, Sendable, Hashable, CaseIterable { case on, off }

/// What dfc.conf says, and the defaults of what it does not say.
public struct ClientConfiguration: Hashable, Sendable {
  /// The four servers, DFS1 first.
  public var servers: [ServerAddress]
  /// The name of the cluster; servers of another one refuse the client.
  public var cluster = "default"
  /// Which connections are encrypted.
  public var encryption = Encryption.auto
  /// Who logs in; nil if the file names nobody.
  public var user: UserName?
  /// As it stands in the file; nil if it does not.
  public var password: String?
  /// Read the password from the first line of this file.
  public var passwordFile: String?
  /// What `Writes` says; nil if it says nothing: then each program has its own default.
  public var configuredWrites: WritePolicy?
  /// How many servers a write needs.
  public var writes: WritePolicy {
    get { configuredWrites ?? .all }
    set { configuredWrites = newValue }
  }
  /// Where the spool of written files is kept; nil leaves it to `CacheDirectory`.
  public var cacheDirectory: String?
  /// Bytes that the spool may take on disk.
  public var spoolBytes: UInt64 = 64 << 30
  /// What is written to a file is kept in memory while it lies within so many bytes of it.
  public var spoolMemoryBytes: Int = 1 << 20
  /// Bytes of memory for contents read ahead.
  public var readCacheBytes: Int = 32 << 20
  /// Rows of the namespace kept in memory.
  public var cachedRows: Int = 250_000
  /// The longest that any call on the mount may take, in seconds.
  public var callTimeoutSeconds = 30
  /// Seconds to wait for a connection.
  public var connectTimeoutSeconds = 5
  /// After this many milliseconds without an answer a read is sent to the other copy too.
  public var hedgeMilliseconds = 500
  /// Whether the client asks servers for read leases: then it need not ask them whether what it knows is still so,
  /// and they wait for it with the changes of others. For who stays: a mount.
  public var readLeases = true

  /// Whether a mount heals in the background.
  public var heals = true
  /// Bytes a second that healing in the background may move; nil for no limit.
  public var healBytesPerSecond: Int? = 64 << 20

  /// The defaults.
  /// - Parameter servers: four, DFS1 first.
  public init(servers: [ServerAddress]) { self.servers = servers }
}

extension ClientConfiguration {
  /// The seconds that a Call-Timeout such as `30s` says.
  public static func callTimeout(_ text: String) throws(DFSError) -> Int {
    try ConfigurationValue(key: "timeout", text: text).seconds(in: ConfigurationLimits.call)
  }

  /// The bytes that a size such as `64G` says; at most those of the largest file.
  /// - Parameter key: what it is the size of, for messages.
  public static func size(_ text: String, of key: String) throws(DFSError) -> UInt64 {
    try ConfigurationValue(key: key, text: text).bytes(in: 0...Limits.fileBytes)
  }

  /// A dfc.conf is at most this many bytes.
  static let fileBytes = 1 << 20

  /// Reads the file at `path`.
  /// - Throws: `configuration`: the file cannot be read, or it holds a password and others can read
  ///   it, or what it says is wrong (every problem, each on a line with the file and its line).
  public static func read(path: String) throws(DFSError) -> ClientConfiguration {
    let (bytes, exposure) = try SecretFile.read(path, limit: fileBytes)
    let configuration = try ConfigurationReader.read(ByteText.text(of: bytes), path: path)
    if configuration.password != nil, exposure != 0 {
      throw SecretFile.exposed(path, "holds a password")
    }
    return configuration
  }
}
