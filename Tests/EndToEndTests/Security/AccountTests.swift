import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// Accounts that change while a mount is there.
  @Suite struct Account {
    /// The mount is refused, is given the new password by its file, and needs no half a minute for it.
    @Test func aMountReadsAChangedPasswordFileAndTriesAtOnce() async throws {
      try await MountedCluster.run { cluster in
        let (shell, servers) = (cluster.shell, cluster.servers)
        try await cluster.endMount(cluster.mount)
        try await shell.succeed(
          """
          umask 077; echo SimplePassword > $DIR/password
          sed -i 's/^Password:.*/Password-File: password/' $CONF
          """)
        try await cluster.startMount(cluster.mount)
        try await shell.succeed("echo content > $M/file")
        try await shell.succeed("sed -i 's/SimplePassword/Another/' $DIR/dfs.conf")
        for server in ServerIndex.all {
          try await servers.stop(server)
          try await servers.restart(server)
        }
        try await eventually("the old password is refused", within: .seconds(20)) {
          servers.log(of: ServerIndex(0)).contains("wrong user name or password")
        }
        #expect(try await shell.bash("echo x > $M/new").status != 0)
        try await shell.succeed("echo Another > $DIR/password")
        try await eventually("the mount is logged in again", within: .seconds(8)) {
          try await shell.bash("echo x > $M/new && grep -q content $M/file").status == 0
        }
      }
    }
  }
}
