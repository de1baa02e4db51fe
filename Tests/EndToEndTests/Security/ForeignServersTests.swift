import DFSConfiguration
import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Promise 11: servers of another cluster, directories restored into the wrong one, and namespaces made
  /// anew are refused before anything is changed.
  @Suite struct ForeignServers {
    /// Two clusters with one name, one user and one password, some files in each; `SLIP` is a
    /// configuration of B (`CONFB`) that names A's DFS1.
    private func withTwoClusters(
      mounts: Int = 0, _ body: (MountedCluster, FourServers) async throws -> Void
    ) async throws {
      try await MountedCluster.run(mounts: mounts) { a in
        let b = try await FourServers()
        try await a.shell.succeed(
          """
          cd $LOCAL; for i in 1 2 3; do echo a$i > a$i; head -c 300000 /dev/urandom >> a$i; done
          for i in 1 2 3 4 5; do echo b$i > b$i; head -c 300000 /dev/urandom >> b$i; done
          dfc -q $CONF put a1 a2 a3; dfc -q \(b.configurationFile) put b1 b2 b3 b4 b5
          ports=$(grep ^Server $CONF | sed 's/.*://'); set -- $ports
          sed "s/^Server DFS1 .*/Server DFS1 127.0.0.1:$1/" \(b.configurationFile) > slip.conf
          chmod 600 slip.conf
          """)
        try await body(a, b)
        try await a.shell.succeed(
          """
          cd $LOCAL; for i in 1 2 3; do dfc -q $CONF get a$i - | cmp - a$i; done
          for i in 1 2 3 4 5; do dfc -q \(b.configurationFile) get b$i - | cmp - b$i; done
          dfc $CONF verify --all; dfc \(b.configurationFile) verify --all
          """, "both clusters keep what they had")
        try await b.remove()
      }
    }

    @Test func aWrongAddressIsRefusedByEveryCommand() async throws {
      try await withTwoClusters { a, b in
        for command in [
          "put a1", "put b1", "get b1 -", "list", "rm b1", "mkdir d", "mv b1 y", "status", "heal",
          "verify", "scrub", "where b1",
        ] {
          let result = try await a.shell.fail("cd $LOCAL; dfc slip.conf \(command)", status: 64)
          #expect(
            result.errors.contains("DFS1 at 127.0.0.1:\(a.servers.addresses[0].port) belongs to"))
          #expect(result.errors.contains("correct the Server line"), "\(command): \(result)")
        }
        // Whoever looks after either cluster then does no harm either.
        try await a.shell.succeed("dfc -q $CONF heal; dfc -q \(b.configurationFile) heal")
      }
    }

    @Test(.needsFuse) func aMountWithAWrongAddressIsRefused() async throws {
      try await withTwoClusters { a, _ in
        let result = try await a.shell.fail(
          "mkdir $LOCAL/m; dfs-mount $LOCAL/slip.conf $LOCAL/m", status: 64)
        #expect(result.errors.contains("belongs to cluster"), "\(result)")
        #expect(result.errors.contains("correct the Server line"), "\(result)")
      }
    }

    /// A mount runs while one server's directory is exchanged for that of another cluster: that server is
    /// quarantined, the others go on, and it is used again with its own directory.
    @Test(.needsFuse) func aDirectoryOfAnotherClusterIsSetAside() async throws {
      try await withTwoClusters(mounts: 1) { a, b in
        try await a.servers.stop(ServerIndex(0))
        try await b.stop(ServerIndex(0))
        try await a.shell.succeed(
          "mv $DIR/DFS1 $LOCAL/own; cp -a \(b.directory)/DFS1 $DIR/DFS1; find $DIR/DFS1 -type f | sort > $LOCAL/was"
        )
        try await a.servers.restart(ServerIndex(0))
        try await eventually("the mount tells of the other cluster", within: .seconds(60)) {
          try await a.shell.bash(
            "cat $LOCAL/a1 > /dev/null; grep -q 'belongs to cluster' $DIR/cache/dfs/*.log"
          ).status == 0
        }
        try await a.shell.succeed("cmp $M/a1 $LOCAL/a1; cmp $M/a3 $LOCAL/a3")
        try await a.shell.fail("dfc $CONF put $LOCAL/a1", status: 64)
        try await a.servers.stop(ServerIndex(0))
        try await a.shell.succeed(
          """
          sqlite3 $DIR/DFS1/\(FourServers.user)/namespace.sqlite 'SELECT count(*) FROM entry' > $LOCAL/entries
          [ $(cat $LOCAL/entries) = 5 ]; rm -r $DIR/DFS1; mv $LOCAL/own $DIR/DFS1
          """, "nothing of the other directory was changed")
        try await a.servers.restart(ServerIndex(0))
        try await b.restart(ServerIndex(0))
        try await a.shell.succeed("dfc $CONF heal --wait", seconds: 90)
      }
    }

    /// The account's files were removed and begun anew; one server's directory is then put back as it was.
    @Test func aNamespaceMadeAnewIsNotMixedWithTheOld() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed("cd $LOCAL; echo old > old; dfc -q $CONF put old")
        for server in ServerIndex.all { try await cluster.servers.stop(server) }
        try await cluster.shell.succeed(
          "cp -a $DIR/DFS1/\(FourServers.user) $LOCAL/saved; rm -r $DIR/DFS?/\(FourServers.user)")
        for server in ServerIndex.all { try await cluster.servers.restart(server) }
        try await cluster.shell.succeed(
          "cd $LOCAL; for i in 1 2 3; do echo new > new$i; dfc -q $CONF put new$i; done")
        try await cluster.servers.stop(ServerIndex(0))
        try await cluster.shell.succeed(
          "cd $DIR/DFS1; mv \(FourServers.user) $LOCAL/new; cp -a $LOCAL/saved \(FourServers.user)")
        try await cluster.servers.restart(ServerIndex(0))
        for command in ["put $LOCAL/old", "list", "heal"] {
          let result = try await cluster.shell.fail("dfc $CONF \(command)", status: 64)
          #expect(
            result.errors.contains("has another namespace of \(FourServers.user)"), "\(result)")
        }
        try await cluster.servers.stop(ServerIndex(0))
        try await cluster.shell.succeed("rm -r $DIR/DFS1/\(FourServers.user)")
        try await cluster.servers.restart(ServerIndex(0))
        try await cluster.shell.succeed(
          "dfc -q $CONF heal --wait; dfc $CONF verify --all; [ $(dfc $CONF list | wc -l) = 3 ]")
      }
    }

    /// All four have one identity, and a server with a blank disk gets it too.
    @Test func aBlankServerJoins() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        let same =
          "[ $(cat $DIR/DFS?/.dfs/identity | grep -c ^cluster-id) = 4 ]; "
          + "[ $(cat $DIR/DFS?/.dfs/identity | grep ^cluster-id | sort -u | wc -l) = 1 ]"
        try await cluster.shell.succeed("cd $LOCAL; echo x > x; dfc -q $CONF put x; \(same)")
        try await cluster.servers.kill(ServerIndex(1))
        try await cluster.shell.succeed("rm -r $DIR/DFS2")
        try await cluster.servers.restart(ServerIndex(1))
        try await cluster.shell.succeed(
          "dfc -q $CONF heal --wait; dfc $CONF verify --all; dfc -q $CONF put $LOCAL/x; \(same)")
      }
    }

    /// What one cluster's mount kept is not brought back to another.
    @Test func whatWasKeptIsBroughtBackToItsOwnNamespaceOnly() async throws {
      try await withTwoClusters { a, b in
        try await a.shell.succeed(
          """
          mkdir $LOCAL/m; dfs-mount $CONF $LOCAL/m
          python3 - <<'END'
          import os, subprocess
          # Before the file is opened: a child closes what it inherits, and that stores what was written.
          pids = subprocess.check_output(["bash", "-c", "server_pid DFS1; server_pid DFS2"]).split()
          fd = os.open(os.environ["LOCAL"] + "/m/kept", os.O_WRONLY | os.O_CREAT)
          os.write(fd, b"hello")
          for pid in pids: os.kill(int(pid), 9)
          try: os.close(fd)
          except OSError: pass
          else: raise AssertionError("close did not tell")
          END
          dfs-mount --unmount $LOCAL/m
          """, seconds: 120)
        for server in ServerIndex.all.prefix(2) { try await a.servers.restart(server) }
        try await a.shell.succeed("dfc $CONF recover | grep -q kept")
        let conf = b.configurationFile
        try await a.shell.succeed(
          "dfc \(conf) recover --all > $LOCAL/out; [ ! -s $LOCAL/out ]; dfc \(conf) recover --all --drop; "
            + "dfc $CONF recover | grep -q kept; ! dfc -q \(conf) get kept -")
        try await a.shell.fail("dfc \(conf) recover $(dfc $CONF recover | cut -d' ' -f1)")
        try await a.shell.succeed("dfc $CONF recover --all; [ $(dfc -q $CONF get kept -) = hello ]")
      }
    }

    /// What release 1.0 kept does not say of which cluster it is: it waits for who knows.
    @Test(.needsFuse) func whatAnEarlierReleaseKeptIsNamedByItsID() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          mkdir -p $XDG_CACHE_HOME/dfs/recover; echo x > $M/x
          python3 -c '
          import json, os
          place = os.environ["XDG_CACHE_HOME"] + "/dfs/recover/1-aaaa"
          json.dump({"id": "1-aaaa", "owner": "Alice@default", "path": "k", "parent": 1, "name": [0x6b],
                     "inode": 999999, "size": 5, "mode": 0o644, "ownerUser": 0, "ownerGroup": 0,
                     "modified": 1, "kept": 1, "reason": "a test"}, open(place + ".json", "w"))
          open(place + ".data", "w").write("kept" + chr(10))'
          """)
        for option in ["", "--drop"] {
          let result = try await cluster.shell.fail("dfc $CONF recover --all \(option)", status: 1)
          #expect(result.errors.contains("does not say of which cluster it is"), "\(result)")
        }
        try await cluster.shell.succeed("dfc $CONF recover 1-aaaa; [ \"$(cat $M/k)\" = kept ]")
      }
    }

    /// Directories of two clusters do not become one tree.
    @Test func rescueRefusesDirectoriesOfTwoClusters() async throws {
      try await withTwoClusters { a, b in
        try await a.servers.stop(ServerIndex(0))
        try await b.stop(ServerIndex(2))
        let result = try await a.shell.fail(
          "dfs rescue $DIR/DFS1 \(b.directory)/DFS3 --to $LOCAL/out", status: 1)
        #expect(result.errors.contains("of cluster"), "\(result)")
        try await a.servers.restart(ServerIndex(0))
        try await b.restart(ServerIndex(2))
      }
    }

    /// Directories as release 1.0 left them: readable as they are, taken over by the first change with all
    /// four up, nothing lost.
    @Test func directoriesOfTheReleaseBeforeAreTakenOver() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL; for i in 1 2 3; do head -c 200000 /dev/urandom > f$i; done; echo small > small
          dfc -q $CONF put f1 f2 f3 small
          """)
        for server in ServerIndex.all { try await cluster.servers.stop(server) }
        for server in ServerIndex.all { try await Self.makeOld(cluster, server) }
        for server in ServerIndex.all.dropLast() { try await cluster.servers.restart(server) }
        let same = "cd $LOCAL; for f in f1 f2 f3 small; do dfc -q $CONF get $f - | cmp - $f; done"
        try await cluster.shell.succeed(same, "three servers are enough to read")
        try await cluster.shell.fail("dfc $CONF rm small", status: 5)
        try await cluster.servers.restart(ServerIndex(3))
        try await cluster.shell.succeed(
          "cd $LOCAL; echo new > new; dfc -q $CONF put new; \(same); dfc $CONF verify --all; "
            + "[ $(grep -h ^cluster-id $DIR/DFS?/.dfs/identity | sort | uniq -c | awk '{print $1}') = 4 ]"
        )
        for server in ServerIndex.all { try await cluster.servers.stop(server) }
        for server in ServerIndex.all { try await cluster.servers.restart(server) }
        try await cluster.shell.succeed(same, "after another start")
      }
    }

    /// Rewrites a stopped server's directory as release 1.0 had it.
    private static func makeOld(_ cluster: MountedCluster, _ server: ServerIndex) async throws {
      let directory = cluster.servers.directory(of: server)
      let database = "\(directory)/\(FourServers.user)/namespace.sqlite"
      let columns = """
        promisedRound, promisedClient, viewRound, viewClient, number, logBase, inodes, generation, committed
        """
      let row = try await cluster.shell.succeed(
        "sqlite3 \(database) 'SELECT \(columns), hex(digest), hex(logBaseDigest) FROM state'")
      let words = row.line.split(separator: "|").map(String.init)
      let numbers = words.prefix(9).compactMap { Int64($0) }
      let digests = words.suffix(2).compactMap { [UInt8](hexadecimal: $0) }
      #expect(numbers.count == 9 && digests.count == 2, "\(row)")
      let bytes = numbers.flatMap { UInt64(bitPattern: $0).bigEndianBytes } + digests.joined()
      let checksum = Int64(bitPattern: BlockChecksum.of(bytes).value)
      try Self.oldState.write(
        toFile: cluster.local + "/old.sql", atomically: true, encoding: .utf8)
      try await cluster.shell.succeed(
        """
        sed 's/CHECKSUM/\(checksum)/' $LOCAL/old.sql | sqlite3 \(database)
        cd \(directory)/.dfs; (echo format 1; grep -E '^(name|cluster|id) ' identity) > $LOCAL/identity
        """)
      let lines = try String(contentsOfFile: cluster.local + "/identity", encoding: .utf8)
      let check = BlockChecksum.of(Array(lines.utf8)).value.bigEndianBytes.hexadecimal
      try (lines + "check \(check)\n").write(
        toFile: directory + "/.dfs/identity", atomically: true, encoding: .utf8)
    }

    private static let oldState = """
      CREATE TEMP TABLE old AS SELECT * FROM main.state;
      BEGIN;
      DROP TABLE main.state;
      CREATE TABLE main.state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        promisedRound INTEGER NOT NULL, promisedClient INTEGER NOT NULL,
        viewRound INTEGER NOT NULL, viewClient INTEGER NOT NULL,
        number INTEGER NOT NULL, digest BLOB NOT NULL,
        logBase INTEGER NOT NULL, logBaseDigest BLOB NOT NULL,
        inodes INTEGER NOT NULL, generation INTEGER NOT NULL, committed INTEGER NOT NULL,
        checksum INTEGER NOT NULL
      ) STRICT;
      INSERT INTO main.state SELECT id, promisedRound, promisedClient, viewRound, viewClient, number, digest,
        logBase, logBaseDigest, inodes, generation, committed, CHECKSUM FROM old;
      PRAGMA user_version = 1;
      COMMIT;
      """
  }
}
