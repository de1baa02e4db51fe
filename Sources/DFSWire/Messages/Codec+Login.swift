internal import DFSCore
internal import SwiftProtobuf

/// The messages before login as protobuf and back; what comes in is checked.
extension Hello {
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

  init(_ hello: ProtoHello) {
    self.init(
      version: hello.version, cluster: hello.cluster, server: hello.server,
      client: ClientID(hello.client), wantsPushes: hello.wantsPushes,
      clusterID: ClusterID(hello.clusterIdentity))
  }
}

extension ServerGreeting {
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

  init(_ greeting: ProtoGreeting) {
    self.init(
      version: greeting.version, cluster: greeting.cluster, server: greeting.server,
      identity: greeting.identity, software: greeting.software,
      clusterID: ClusterID(greeting.clusterIdentity))
  }
}
