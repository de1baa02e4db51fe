/// What dfc.conf says (conf/dfc.conf documents every key with its unit, default and bound). Its
/// text is read by ConfigurationReader.swift.

public struct ServerAddress: Hashable, Sendable {
  /// DFS1 … DFS4.
  public let name: String
  /// A host name, an IPv4 address, or an IPv6 address without brackets.
  public let host: String
  public let port: Int
  /// The only certificate that is accepted from this server; nil for any, since the login is bound
  /// to whichever it is.
  public let fingerprint: CertificateFingerprint?

  public init(
    name: String, host: String, port: Int, fingerprint: CertificateFingerprint? = nil
  ) {
    self.name = name
    self.host = host
    self.port = port
    self.fingerprint = fingerprint
  }
}

/// Which connections to servers are encrypted (TLS 1.3).
public enum Encryption: String, Sendable, Hashable, CaseIterable {
  /// All but those to loopback addresses of this machine.
  case auto
  case always
  /// None. The servers must be started with `--plaintext`.
  case off
}

public enum WritePolicy: String, Sendable, Hashable, CaseIterable {
  /// All four servers must be up, else a write is refused at once.
  case all
  /// Three servers are enough.
  case quorum
}

public enum Switch: String, Sendable, Hashable, CaseIterable { case on, off }

public struct Credentials: Hashable, Sendable {
  public let user: UserName
  public let password: String

  public init(user: UserName, password: String) {
    self.user = user
    self.password = password
  }
}

public struct ClientConfiguration: Hashable, Sendable {
  /// The four servers, DFS1 first.
  public var servers: [ServerAddress]
  public var cluster = "default"
  public var encryption = Encryption.auto
  public var user: UserName?
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
  /// A written file is kept in memory up to this many bytes.
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

  /// Whether a mount heals in the background.
  public var heals = true
  /// Bytes a second that healing in the background may move; nil for no bound.
  public var healBytesPerSecond: Int? = 64 << 20

  public init(servers: [ServerAddress]) { self.servers = servers }
}

extension ClientConfiguration {
  /// The seconds that a Call-Timeout such as `30s` says.
  public static func callTimeout(_ text: String) throws(DFSError) -> Int {
    try ConfigurationValue(key: "timeout", text: text).seconds(in: ConfigurationBounds.call)
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
    let (bytes, exposure) = try SecretFile.read(path, bound: fileBytes)
    let configuration = try ConfigurationReader.read(ByteText.text(of: bytes), path: path)
    if configuration.password != nil, exposure != 0 {
      throw SecretFile.exposed(path, "holds a password")
    }
    return configuration
  }
}
