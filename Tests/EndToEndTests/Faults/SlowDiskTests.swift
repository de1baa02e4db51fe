import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd.StorageFaults {
  /// The disks of all servers do not answer an fsync of the log, which nobody asked for: it is made in the
  /// background, and programs go on writing and reading.
  @Test(.needsFuse) func anFsyncThatTakesLongKeepsNobodyWaiting() async throws {
    try await MountedCluster.run(withFailingFiles: true) { cluster in
      let disks = ServerIndex.all.map { cluster.servers.failingFiles(of: $0) }
      try await cluster.shell.succeed(
        "head -c 500000 /dev/urandom > $LOCAL/large; echo 1 > $M/a")
      for disk in disks { try disk.hold(.sync, ["*/Alice/namespace.sqlite-wal"]) }
      defer { for disk in disks { try? disk.lift() } }
      try await cluster.shell.succeed("echo 2 > $M/b")
      try await eventually("all servers wait for an fsync", within: .seconds(20)) {
        disks.allSatisfy { $0.struck > 0 }
      }
      try await cluster.shell.succeed(
        """
        mkdir $M/d; cp $LOCAL/large $M/d/large; mv $M/b $M/c; rm $M/a
        cmp $LOCAL/large $M/d/large; [ "$(cat $M/c)" = 2 ]
        dfc $CONF get c $LOCAL/c; [ "$(cat $LOCAL/c)" = 2 ]
        """, seconds: 30)
      #expect(disks.allSatisfy { $0.struck > 0 })
      for disk in disks { try disk.lift() }
      // What asks for stable storage gets it again, and all that was written meanwhile is there.
      try await cluster.shell.succeed("echo 3 > $M/e; sync $M/e", seconds: 30)
      for server in ServerIndex.all { try await cluster.servers.kill(server) }
      for server in ServerIndex.all { try await cluster.servers.restart(server) }
      try await cluster.shell.succeed(
        "dfc $CONF heal --wait; dfc $CONF verify --all | grep 'all good'; dfc $CONF get d/large $LOCAL/got",
        seconds: 60)
      try await cluster.shell.succeed("cmp $LOCAL/large $LOCAL/got")
    }
  }
}
