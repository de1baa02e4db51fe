public import DFSCore
internal import SwiftProtobuf

/// The first words on a connection: whom the client means to reach, and whom it has reached.

extension Request {
  /// What a client says first: whom it means to reach, and who it is.
  public struct Hello: RequestMessage {
    public typealias Answer = Reply.Greeting

    /// The version of the wire that the client speaks: `Wire.version`.
    public let version: UInt32
    /// The cluster's name in dfc.conf.
    public let cluster: String
    /// The server that the client believes it has reached.
    public let server: String
    /// The client process; all its connections say the same.
    public let client: ClientID
    /// Whether this connection is to receive pushes.
    public let wantsPushes: Bool
    /// The cluster that the client has worked with, if it has.
    public var clusterID: ClusterID?

    /// A greeting to `server` of `cluster`; nothing is checked here.
    public init(
      version: UInt32, cluster: String, server: String, client: ClientID, wantsPushes: Bool,
      clusterID: ClusterID? = nil
    ) {
      self.clusterID = clusterID
      self.version = version
      self.cluster = cluster
      self.server = server
      self.client = client
      self.wantsPushes = wantsPushes
    }
  }
}

extension Request.Hello: WireMessage {
  static var shape: HeaderShape { HeaderShape([6: .one(.leaf)]) }

  var wire: ProtoHello {
    .with {
      $0.version = version
      $0.cluster = cluster
      $0.server = server
      $0.client = client.value
      $0.wantsPushes = wantsPushes
      if let clusterID { $0.clusterIdentity = clusterID.wire }
    }
  }

  init(_ hello: ProtoHello) throws(DFSError) {
    self.init(
      version: hello.version, cluster: hello.cluster, server: hello.server,
      client: ClientID(hello.client), wantsPushes: hello.wantsPushes,
      clusterID: ClusterID(hello.clusterIdentity))
  }
}

extension Reply {
  /// What a server answers to `Hello`, if it is the one that is meant.
  public struct Greeting: ReplyMessage {
    /// The version of the wire that the server speaks: its `Wire.version`.
    public let version: UInt32
    /// The name of its cluster.
    public let cluster: String
    /// Its name: DFS1 to DFS4.
    public let server: String
    /// The server's persistent identity: 32 hexadecimal digits.
    public let identity: String
    /// The release of the program, for people.
    public let software: String
    /// Nil while the server is of no cluster.
    public let clusterID: ClusterID?

    /// The answer of `server` of `cluster`; nothing is checked here.
    public init(
      version: UInt32, cluster: String, server: String, identity: String, software: String,
      clusterID: ClusterID? = nil
    ) {
      self.clusterID = clusterID
      self.version = version
      self.cluster = cluster
      self.server = server
      self.identity = identity
      self.software = software
    }

    /// The identity and the cluster's name are compared and hashed before they are shown.
    public func showing(_ shown: (String) -> String) -> Greeting {
      Greeting(
        version: version, cluster: cluster, server: shown(server), identity: identity,
        software: shown(software), clusterID: clusterID)
    }
  }
}

extension Reply.Greeting: WireMessage {
  static var shape: HeaderShape { HeaderShape([6: .one(.leaf)]) }

  var wire: ProtoGreeting {
    .with {
      $0.version = version
      $0.cluster = cluster
      $0.server = server
      $0.identity = identity
      $0.software = software
      if let clusterID { $0.clusterIdentity = clusterID.wire }
    }
  }

  init(_ greeting: ProtoGreeting) throws(DFSError) {
    self.init(
      version: greeting.version, cluster: greeting.cluster, server: greeting.server,
      identity: greeting.identity, software: greeting.software,
      clusterID: ClusterID(greeting.clusterIdentity))
  }
}
