public import DFSCore
internal import SwiftProtobuf

/// Making a server one of a cluster.

extension Request {
  /// Be of this cluster from now on, for good; refused by a server that is of another.
  public struct Join: RequestMessage {
    public typealias Answer = Reply.Done

    /// Of which it is to be.
    public let cluster: ClusterID

    /// Be of `cluster`.
    public init(_ cluster: ClusterID) { self.cluster = cluster }
  }
}

extension Request.Join: WireMessage {
  var wire: ProtoIdentity { cluster.wire }

  init(_ id: ProtoIdentity) throws(DFSError) {
    guard let cluster = ClusterID(id) else { throw .violation("a cluster without identity") }
    self.init(cluster)
  }
}
