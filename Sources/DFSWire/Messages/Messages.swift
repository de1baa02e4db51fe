public import DFSCore

/// What travels in frames: a request from a client, its one reply, or a push from a server.
/// `Codec.swift` maps these to protobuf and checks every value that comes in.

/// What a client asks of a server; each request gets one `Reply`, in any order.
public enum Request: Hashable, Sendable {
  // Before login.
  case hello(Hello)
  /// The SCRAM client-first message (RFC 5802).
  case loginBegin(scram: String)
  /// The SCRAM client-final message.
  case loginEnd(scram: String)

  // After login: the namespace of who logged in.
  /// An answer proves that the server lives and that all its earlier pushes have been delivered.
  case ping
  /// A step of the namespace protocol. With `apply`, `parts` are the copies of small parts that this
  /// server is to keep with the change, `held` the copies that it must already have, and `durable`
  /// asks for stable storage before the answer.
  case namespace(NamespaceRequest, parts: [InlinePart], held: [PartID], durable: Bool)
  /// The answers to all queries, from one state, with the head of that state.
  case query([Query])
  /// Replace rows: begin, with none or with what is right of the server's own (it answers `behind` if
  /// its head is another); then pages of `refillRows`, then `refillChanges`, the changes that came while
  /// the pages were read, in order; then the end, which installs its view if the rows have the digest of
  /// `to`. An end that is refused, for a later view has been promised, may be tried again in a later
  /// one. An unfinished transfer changes nothing.
  case refillBegin(View, own: OwnRows?)
  case refillRows([Row])
  case refillChanges([LogEntry])
  case refillEnd(View, to: Head)

  // Copies.
  /// A piece of a copy, with its bytes in the frame's body; pieces come in order from offset 0, the
  /// one that reaches `length` completes the copy (durable: on stable storage before the answer).
  case putPart(PartExtent, durable: Bool)
  /// The blocks that cover `range` (bytes of the part); the reply's body has whole blocks.
  case getPart(PartID, range: Range<UInt64>)
  /// The whole of each of these parts that is here, whole itself and small: at most four.
  case getSmallParts([PartID])
  /// Puts the copies (and their directory) on stable storage.
  case syncParts([PartID])
  /// Forgets uploaded copies that no change names.
  case dropParts([PartID])
  /// Which parts of these versions are here.
  case copies([VersionID])
  /// The versions that this connection has open: their copies are kept as long as it lives.
  case hold([VersionID])
  /// Let go of versions that this connection holds.
  case release([VersionID])
  /// The space that the server has for this user.
  case space
  /// Up to `limit` copies that this server lacks, in order, after one of them. With `claims` the
  /// client is about to bring them, and is told of none that another has claimed lately.
  case wanted(after: PartID?, limit: Int, claims: Bool)
  /// How this user's copies are on the server.
  case health
  /// Begin to read back all copies, unless that is under way.
  case scrub
  /// Be of this cluster from now on, for good; refused by a server that is of another.
  case join(ClusterID)
}

/// What a server answers to a request.
public enum Reply: Hashable, Sendable {
  case hello(ServerGreeting)
  /// The SCRAM server-first message.
  case loginContinue(scram: String)
  /// The SCRAM server-final message: logged in; and which namespace the server has of the user.
  case loginDone(scram: String, namespace: NamespaceID?)
  /// What was asked for is done; there is nothing to say about it.
  case done
  /// The server lives, and its head is this.
  case pong(Head)
  case namespace(NamespaceReply)
  case query([QueryAnswer], head: Head)
  /// The bytes are in the frame's body: whole blocks, from `extent.offset`.
  case part(PartExtent)
  /// Those of the parts that were asked for that are here, in their order.
  case smallParts([InlinePart])
  /// For each version asked, in order, the parts that are here.
  case copies([[PartIndex]])
  case space(SpaceReport)
  /// `total` counts all that the server lacks.
  case wanted([WantedCopy], total: UInt64)
  case health(HealthReport)
  /// The request was refused or failed, with this error of the server.
  case failed(DFSError)
}

/// From a server, without being asked.
public enum Push: Hashable, Sendable {
  /// Rows under these keys were written by another client of this user, up to `head`.
  case changed([RowKey], head: Head)
  /// Anything may have changed.
  case everythingChanged(head: Head)
  /// The server stops; finish and reconnect later.
  case goingAway
}

/// What a client says first: whom it means to reach, and who it is.
public struct Hello: Hashable, Sendable {
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

/// What a server answers to `Hello`, if it is the one that is meant.
public struct ServerGreeting: Hashable, Sendable {
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
}

/// What both sides agree on (docs/FORMATS.md, "Wire").
public enum Wire {
  /// The version of the protocol; a server refuses a client of another one.
  public static let version: UInt32 = 2
}
