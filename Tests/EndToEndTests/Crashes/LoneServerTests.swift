import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// One server alone has a later history in which everything is gone.
  @Suite struct LoneServer {
    /// The three others were restored from a backup; without one of them the fourth must be heard.
    @Test(.needsFuse) func itEmptiesNobodyUntilAPersonSaysSo() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          "for i in $(seq 12); do echo $i > $M/f$i; done; dfc $CONF status")
        try await cluster.endMount(cluster.mount)
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        try await cluster.shell.succeed(
          "mkdir $LOCAL/old; cp -a $DIR/DFS1 $DIR/DFS2 $DIR/DFS3 $LOCAL/old")
        for server in ServerIndex.all { try await cluster.servers.restart(server) }
        try await cluster.shell.succeed(
          "for i in $(seq 12); do dfc $CONF rm f$i; done; dfc $CONF heal; dfc $CONF status")
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        try await cluster.shell.succeed(
          "for i in 1 2 3; do rm -r $DIR/DFS$i; cp -a $LOCAL/old/DFS$i $DIR; done")
        for server in [0, 1, 3] { try await cluster.servers.restart(ServerIndex(server)) }
        let refused = try await cluster.shell.fail("dfc $CONF heal", status: 1)
        #expect(refused.errors.contains("DFS4 alone says that"), "\(refused)")
        #expect(refused.errors.contains("--accept-loss"), "\(refused)")
        // Nobody lost anything.
        try await cluster.servers.kill(ServerIndex(3))
        try await cluster.servers.restart(ServerIndex(2))
        try await cluster.shell.succeed("[ $(dfc $CONF list | wc -l) = 12 ]; dfc $CONF get f7 -")
        try await cluster.servers.kill(ServerIndex(2))
        try await cluster.servers.restart(ServerIndex(3))
        // Status 1 for the server that is down.
        let accepted = try await cluster.shell.fail("dfc $CONF heal --accept-loss", status: 1)
        #expect(!accepted.errors.contains("alone says"), "\(accepted)")
        try await cluster.shell.succeed("[ -z \"$(dfc $CONF list)\" ]")
      }
    }
  }
}
