internal import DFSCore
public import DFSStore

/// The settings of one server. What a peer may make it hold is bounded here and in `Limits`.
public struct ServerOptions: Sendable {
  /// The directory that the server keeps; its last component is the server's name.
  public var directory: String
  /// 0 takes a free port.
  public var port: Int
  /// The address to listen on: by default loopback, where no other machine can connect.
  public var address = "127.0.0.1"
  /// Nil: `dfs.conf` beside the directory, else in it.
  public var usersFile: String?
  /// The name of the cluster, which the directory keeps for good.
  public var cluster = "default"
  /// PEM: the server's certificate and those that follow it in its chain. Nil, with `tlsKey`: the one
  /// that the server made itself, `.dfs/tls.pem` in its directory.
  public var tlsCertificate: String?
  /// PEM.
  public var tlsKey: String?
  /// Whether connections from other machines may be unencrypted; those of this machine may always.
  public var allowsPlaintext = false
  /// The settings of what is on disk.
  public var store = StoreOptions()

  /// Connections that are logged in; one more is refused.
  public var connections = 4096
  /// Connections that are not logged in yet; for one more an older one goes (`Strangers`).
  public var strangers = 1024
  /// Requests of one connection that are under way; the next ones are not read before.
  public var requestsPerConnection = 64
  /// Bytes of one connection's requests under way and of the answers that it has not read.
  public var bytesPerConnection = 8 << 20
  /// Bytes of all connections' requests and answers; over it a connection has one at a time.
  public var bytes = 512 << 20
  /// Bytes of all requests and answers of one user; over it the user's requests wait.
  public var bytesPerUser: Int { max(16 << 20, bytes / 4) }
  /// Connections of one user, unless the users file says otherwise; one more is refused.
  public var connectionsPerUser = 256
  /// How long a frame may take to come, from its first byte to its last.
  public var frameSeconds = 120
  /// How long a connection may take to log in.
  public var loginSeconds = Limits.loginSeconds
  /// How long a stop waits for what is under way.
  public var drainSeconds = 10

  /// The defaults, for a directory and a port; 0 takes a free port.
  public init(directory: String, port: Int) {
    self.directory = directory
    self.port = port
  }
}
