import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// How many servers a write needs: by default three for a mount, all four for dfc.
  @Suite struct WritePolicies {
    private static func isOpen(_ cluster: MountedCluster) async throws -> Bool {
      try await cluster.shell.bash("echo x > $M/.probe && rm $M/.probe").status == 0
    }

    /// One server stops: a mount goes on, dfc refuses at once, with all that writes. The server
    /// returns: its copies are rebalanced.
    @Test(.needsFuse) func aMountGoesOnAndDfcAsksForAll() async throws {
      try await MountedCluster.run(arguments: ["--keep-seconds", "0"]) { cluster in
        try await cluster.shell.succeed("echo before > $M/before; echo x > $LOCAL/x")
        try await cluster.servers.kill(ServerIndex(1))
        try await cluster.shell.succeed(
          """
          cd $M; mkdir d; head -c 700000 /dev/urandom > $LOCAL/large; cp $LOCAL/large d/large
          echo more >> before; mv before after; sync d/large; cmp $LOCAL/large d/large
          """)
        for command in ["put $LOCAL/x", "put - y < $LOCAL/x", "mkdir e", "rm after", "mv after z"] {
          let refused = try await cluster.shell.fail(
            "timeout 5 dfc $CONF \(command)", status: 5)
          #expect(refused.errors.contains("all four"), "\(command): \(refused.errors)")
          #expect(refused.errors.contains("DFS2"), "\(command): \(refused.errors)")
        }
        let status = try await cluster.shell.fail("dfc $CONF status", status: 1)
        #expect(status.output.contains("DFS2 is down"), "\(status)")
        try await cluster.shell.succeed("[ $(cat $M/after | wc -l) = 2 ]; [ ! -e $M/x ]")
        try await cluster.servers.restart(ServerIndex(1))
        try await eventually("its copies are home", within: .seconds(60)) {
          let place = try await cluster.shell.bash("dfc $CONF where d/large")
          return place.status == 0 && !place.output.contains("down")
            && !place.output.contains("lost")
        }
        try await cluster.shell.succeed("dfc $CONF heal --wait; dfc $CONF status", seconds: 60)
        try await cluster.shell.succeed("dfc $CONF put $LOCAL/x; dfc $CONF verify --all")
      }
    }

    /// `Writes` in dfc.conf is for both; the option of a mount is for that mount.
    @Test(.needsFuse) func theConfigurationAndTheOptionDecide() async throws {
      try await MountedCluster.run(mounts: 3) { cluster in
        for mount in cluster.mounts { try await cluster.endMount(mount) }
        try await cluster.shell.succeed(
          """
          echo x > $LOCAL/x
          for policy in all quorum; do
            (cat $CONF; echo "Writes $policy") > $DIR/$policy.conf; chmod 600 $DIR/$policy.conf
          done
          dfs-mount $DIR/all.conf $M; dfs-mount -o writes=quorum $DIR/all.conf $M2
          dfs-mount -o writes=all $CONF $M3
          echo first > $M/first
          """)
        try await cluster.servers.kill(ServerIndex(3))
        for mount in ["$M", "$M3"] {
          let refused = try await cluster.shell.fail("echo no > \(mount)/no")
          #expect(refused.errors.contains("Read-only file system"), "\(mount): \(refused)")
        }
        try await cluster.shell.succeed(
          """
          echo yes > $M2/yes; [ $(cat $M/yes) = yes ]
          dfc $DIR/quorum.conf put $LOCAL/x; [ $(cat $M2/x) = x ]; dfc $DIR/quorum.conf mkdir d
          """)
        try await cluster.shell.fail("dfc $DIR/all.conf put $LOCAL/x", status: 5)
      }
    }

    /// `dfc status` ends with what there is to see.
    @Test func statusTellsByItsExitStatus() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed(
          """
          dfc $CONF status
          head -c 500000 /dev/urandom > $LOCAL/f; dfc $CONF put $LOCAL/f; dfc $CONF status
          """)
        let servers = cluster.servers
        func expect(_ status: Int32, _ comment: Comment) async throws {
          let result = try await cluster.shell.bash("dfc $CONF status; dfc $CONF --json status")
          #expect(result.status == status, "\(comment): \(result)")
          let plain = try await cluster.shell.bash("dfc $CONF status")
          #expect(plain.status == status, "\(comment): \(plain)")
        }
        try await servers.kill(ServerIndex(0))
        try await expect(1, "one away")
        try await servers.kill(ServerIndex(2))
        try await expect(1, "two opposite ones away")
        try await servers.restart(ServerIndex(0))
        try await servers.kill(ServerIndex(3))
        try await expect(4, "two neighbours away")
        try await servers.kill(ServerIndex(0))
        try await expect(5, "one left")
        try await servers.kill(ServerIndex(1))
        try await expect(5, "none left")
        for server in ServerIndex.all { try await servers.restart(server) }
        try await cluster.shell.succeed("dfc $CONF heal --wait; dfc $CONF status", seconds: 60)
        let help = try await cluster.shell.succeed("dfc $CONF help status; dfc $CONF help")
        #expect(help.output.contains("5 if") && help.output.contains("EXIT STATUS"), "\(help)")
      }
    }

    /// An account that one server does not have, or has with another password: it is said which server
    /// that is, who accepts it, and what to do; and once that was done all is well.
    @Test(.needsFuse, arguments: ["remove Alice", "passwd Alice --password-file $LOCAL/other"])
    func anAccountThatOneServerRefusesIsNamed(_ change: String) async throws {
      try await MountedCluster.run { cluster in
        let server = ServerIndex(1)
        let users = cluster.servers.directory + "/dfs-\(server).conf"
        try await cluster.servers.stop(server)
        try cluster.servers.giveOwnUsersFile(server)
        try await cluster.shell.succeed(
          """
          echo x > $LOCAL/x; echo other > $LOCAL/other; echo SimplePassword > $LOCAL/right
          chmod 600 $LOCAL/other $LOCAL/right
          dfs user \(change) --users \(users)
          """)
        try await cluster.servers.restart(server)
        let port = cluster.servers.addresses[1].port
        let told =
          "DFS2 (127.0.0.1:\(port)) refuses user Alice: wrong user name or password, while DFS1, DFS3 "
          + "and DFS4 accept them; make the account the same there: dfs user add Alice"
        let list = try await cluster.shell.succeed("dfc $CONF list")
        #expect(list.errors.contains("dfc: " + told), "\(list)")
        let status = try await cluster.shell.fail("dfc $CONF status", status: 1)
        #expect(status.output.contains(told), "\(status)")
        let put = try await cluster.shell.fail("dfc $CONF put $LOCAL/x", status: 5)
        #expect(put.errors.contains(told), "\(put)")
        func waitForLog() async throws {
          try await eventually("the mount's log names it", within: .seconds(30)) {
            try await cluster.shell.bash("grep -qF '\(told)' $XDG_CACHE_HOME/dfs/*.log").status == 0
          }
        }
        // The mount that was up before, and one that begins.
        try await waitForLog()
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.succeed("rm $XDG_CACHE_HOME/dfs/*.log")
        try await cluster.startMount(cluster.mount)
        try await waitForLog()
        try await cluster.shell.succeed(
          """
          dfs user remove Alice --users \(users) || true
          dfs user add Alice --users \(users) --password-file $LOCAL/right
          """)
        try await eventually("it is let in", within: .seconds(20)) {
          try await cluster.shell.bash("dfc $CONF put $LOCAL/x").status == 0
        }
      }
    }
  }
}
