import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd.StorageFaults {
  /// A twentieth of each disk stays for databases: files are refused before the disk is full, and what makes
  /// room goes on.
  @Test(.needsFuse, .enabled(if: SmallDisk.canBeMade, "a tmpfs cannot be mounted here"))
  func aTwentiethOfTheDiskIsKeptForDatabases() async throws {
    try await MountedCluster.run(mounts: 1) { cluster in
      try await cluster.endMount(cluster.mount)
      for server in ServerIndex.all { try await cluster.servers.stop(server) }
      try await cluster.shell.succeed(
        """
        for i in 1 2 3 4; do
          rm -rf $DIR/DFS$i; mkdir $DIR/DFS$i; mount -t tmpfs -o size=200m none $DIR/DFS$i
        done
        """)
      do {
        for server in ServerIndex.all { try await cluster.servers.restart(server) }
        try await cluster.startMount(cluster.mount)
        try await fillUpToTheKept(cluster)
      } catch {
        Issue.record("\(error)")
      }
      _ = try await cluster.shell.bash("timeout 10 dfs-mount --unmount $M || umount -l $M")
      for server in ServerIndex.all { try await cluster.servers.kill(server) }
      try await cluster.shell.succeed("for i in 1 2 3 4; do umount $DIR/DFS$i; done")
    }
  }

  /// A twentieth of 200 MiB is 10 MiB; 9 are left, and the log of a database takes 4 before it begins anew.
  private func fillUpToTheKept(_ cluster: MountedCluster) async throws {
    let shell = cluster.shell
    try await shell.succeed(
      """
      mkdir $M/d; head -c 2000000 /dev/urandom > $LOCAL/f; head -c 3000 /dev/urandom > $LOCAL/small
      cp $LOCAL/f $M/d/f; cp $LOCAL/small $M/d/small; sync -f $M
      for i in 1 2 3 4; do
        free=$(df --output=avail -B1 $DIR/DFS$i | tail -1)
        head -c $((free - 9 * 1048576)) /dev/zero > $DIR/DFS$i/filler
      done
      """)
    try await refusesContents(cluster)
    // Databases have their twentieth.
    try await shell.succeed(
      """
      mv $M/d/f $M/d/g; mkdir $M/e; mv $M/d/g $M/e/f; ln -s x $M/e/link; chmod 600 $M/e/f
      for i in $(seq 100); do mkdir $M/e/$i; mv $M/e/$i $M/e/n$i; done
      for i in $(seq 100); do rmdir $M/e/n$i; done
      cmp $LOCAL/f $M/e/f; rm $M/e/f; dfc $CONF mv d/small d/little
      for i in 1 2 3 4; do
        free=$(df --output=avail -B1 $DIR/DFS$i | tail -1)
        [ $free -gt 0 ] && [ $free -lt 10485760 ]
      done
      """)
    #expect(try await shell.bash("[ -e $M/e/f ]").status == 1)
    // With room again files are taken, by the same processes.
    try await shell.succeed("rm $DIR/DFS?/filler")
    try await eventually("files are taken again", within: .seconds(20)) {
      try await shell.bash("cp $LOCAL/f $M/d/new && sync -f $M && cmp $LOCAL/f $M/d/new")
        .status == 0
    }
    try await shell.succeed("cmp $LOCAL/small $M/d/little; dfc $CONF heal; dfc $CONF status")
  }

  /// Large files, and small ones, which are kept in the database itself.
  private func refusesContents(_ cluster: MountedCluster) async throws {
    for file in ["f", "small"] {
      let copied = try await cluster.shell.fail("cp $LOCAL/\(file) $M/d/new", status: 1)
      #expect(copied.errors.contains("No space left on device"), "\(copied)")
      let put = try await cluster.shell.fail("dfc $CONF put $LOCAL/\(file)", status: 1)
      #expect(put.errors.contains("no space left for files"), "\(put)")
      #expect(put.errors.contains("are kept for databases; make room there"), "\(put)")
      try await cluster.shell.succeed("rm -f $M/d/new")
    }
  }
}
