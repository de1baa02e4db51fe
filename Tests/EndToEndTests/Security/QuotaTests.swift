import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// What a user may take of each server, on a real mount.
  @Suite struct Quota {
    /// Sets limits of the user, whose password was made a verifier.
    private static func set(_ cluster: MountedCluster, _ words: String) async throws {
      try await cluster.shell.succeed("dfs user set Alice \(words) --users $DIR/dfs.conf")
    }

    /// What `df` shows of a mount in KiB: all, and what is free.
    private static func space(_ cluster: MountedCluster) async throws -> (size: Int, free: Int) {
      let line = try await cluster.shell.succeed(
        "df --output=size,avail -k $M | tail -1"
      ).line
      let words = line.split(separator: " ").compactMap { Int($0) }
      return words.count == 2 ? (words[0], words[1]) : (0, 0)
    }

    /// A file takes half of its size on each server, so 40 MiB on each are 80 MiB of files. A log of
    /// changes, which counts, may take 4 MiB of them.
    @Test(.needsFuse) func aFullQuotaIsEDQUOTAndDeletingMakesRoom() async throws {
      try await MountedCluster.run(arguments: ["--keep-seconds", "1"]) { cluster in
        let shell = cluster.shell
        // It ends the connections of the user whose password it makes a verifier.
        try await cluster.endMount("$M")
        try await shell.succeed("dfs user convert --users $DIR/dfs.conf")
        try await cluster.startMount("$M")
        #expect(try await Self.space(cluster).size > 80 << 10)
        try await Self.set(cluster, "quota=40M")
        try await eventually("df shows the quota", within: .seconds(20)) {
          try await Self.space(cluster).size == 80 << 10
        }
        try await shell.succeed(
          """
          head -c 24000000 /dev/urandom > $LOCAL/a; head -c 24000000 /dev/urandom > $LOCAL/b
          head -c 50000000 /dev/urandom > $LOCAL/large
          cp $LOCAL/a $M/a; cp $LOCAL/b $M/b; sync -f $M
          """)
        try await eventually("df shows what is used", within: .seconds(20)) {
          let space = try await Self.space(cluster)
          return space.size == 80 << 10 && space.free < 36 << 10
        }
        let refused = try await shell.fail("cp $LOCAL/large $M/large", status: 1)
        #expect(refused.errors.contains("Disk quota exceeded"), "\(refused)")
        let put = try await shell.fail("dfc $CONF put $LOCAL/large", status: 1)
        #expect(put.errors.contains("over the quota of 41943040"), "\(put)")
        #expect(put.errors.contains("remove files"), "\(put)")
        // However often: none is left waiting, and the mount goes on.
        for _ in 0..<20 {
          let again = try await shell.fail("timeout 60 cp $LOCAL/large $M/large", status: 1)
          #expect(again.errors.contains("Disk quota exceeded"), "\(again)")
        }
        // What was there stays, is read past the kernel's memory, and may be renamed.
        try await cluster.forget("$M/a $M/b")
        try await shell.succeed("cmp $LOCAL/a $M/a; cmp $LOCAL/b $M/b; mv $M/a $M/a2; mkdir $M/d")
        try await shell.succeed("rm -f $M/large $M/b")
        try await eventually("there is room again", within: .seconds(60)) {
          try await shell.bash("cp $LOCAL/large $M/large2 && sync -f $M").status == 0
        }
        try await cluster.forget("$M/a2 $M/large2")
        try await shell.succeed("cmp $LOCAL/a $M/a2; cmp $LOCAL/large $M/large2")
        try await roomIsGiven(cluster)
      }
    }

    private func roomIsGiven(_ cluster: MountedCluster) async throws {
      let shell = cluster.shell
      try await shell.fail("cp $LOCAL/b $M/b", status: 1)
      try await Self.set(cluster, "quota=none")
      try await eventually("df shows the disk", within: .seconds(20)) {
        try await Self.space(cluster).size > 80 << 10
      }
      try await eventually("the servers know", within: .seconds(20)) {
        try await shell.bash("cp $LOCAL/b $M/b && sync -f $M && cmp $LOCAL/b $M/b").status == 0
      }
    }
  }
}
