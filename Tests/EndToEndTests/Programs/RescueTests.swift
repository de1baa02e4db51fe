import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// `dfs rescue`: the tree from the directories of servers that were killed, byte for byte.
  @Suite struct RescueWithoutServers {
    /// A cluster with a tree of everything in `$LOCAL/tree`, copied into the mount; then every
    /// server is killed.
    private func withKilledServers(_ body: (MountedCluster) async throws -> Void) async throws {
      try await MountedCluster.run { cluster in
        try RescueTree.program.write(
          toFile: cluster.local + "/tree.py", atomically: true, encoding: .utf8)
        try await cluster.shell.succeed(
          "python3 $LOCAL/tree.py make $LOCAL/tree; cp -a $LOCAL/tree/. $M/", seconds: 120)
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        try await body(cluster)
      }
    }

    /// Every three, both opposite pairs, and all four; from directories that nobody can write.
    @Test(.needsFuse) func whatIsEnoughIsEnough() async throws {
      try await withKilledServers { cluster in
        let before = try await cluster.shell.succeed(Self.fingerprint)
        for servers in ["1 2 3", "1 2 4", "1 3 4", "2 3 4", "1 3", "2 4", "1 2 3 4"] {
          let result = try await cluster.shell.succeed(
            """
            for i in \(servers); do set -- "$@" $DIR/DFS$i; done
            mkdir $LOCAL/tmp; TMPDIR=$LOCAL/tmp dfs rescue "$@" --privileged --to $LOCAL/out
            rmdir $LOCAL/tmp
            python3 $LOCAL/tree.py compare $LOCAL/tree $LOCAL/out
            chmod -R u+w $LOCAL/out; rm -r $LOCAL/out
            """, seconds: 120, "DFS \(servers)")
          #expect(result.output.contains("incomplete: 0; damaged databases: 0, copies: 0"))
        }
        let after = try await cluster.shell.succeed(Self.fingerprint)
        #expect(after.output == before.output)
      }
    }

    private static let fingerprint =
      "cd $DIR; find DFS? -printf '%p %s %T@\\n' | sort; find DFS? -type f -exec md5sum {} + | sort"

    /// Two neighbours, and each one alone, list exactly what they lack; the rest is right.
    @Test(.needsFuse) func whatIsNotEnoughIsListed() async throws {
      try await withKilledServers { cluster in
        for servers in ["1 2", "2 3", "3 4", "1 4", "1", "2", "3", "4"] {
          try await cluster.shell.succeed(
            """
            for i in \(servers); do set -- "$@" $DIR/DFS$i; done
            python3 $LOCAL/tree.py missing $LOCAL/tree "$@" | sort > $LOCAL/expected
            [ -s $LOCAL/expected ]
            dfs rescue "$@" --user \(FourServers.user) --privileged --to $LOCAL/out --json > $LOCAL/json || s=$?
            [ $s = 4 ]
            python3 $LOCAL/tree.py paths < $LOCAL/json | sort | diff - $LOCAL/expected
            python3 $LOCAL/tree.py compare $LOCAL/tree $LOCAL/out $LOCAL/expected
            chmod -R u+w $LOCAL/out; rm -r $LOCAL/out
            """, seconds: 120, "DFS \(servers)")
        }
        let result = try await cluster.shell.fail(
          "dfs rescue $DIR/DFS1 $DIR/DFS2 --privileged --to $LOCAL/out --partial --quiet", status: 4
        )
        #expect(result.output.contains("zeros stand there"))
        #expect(result.errors.isEmpty)
        try await cluster.shell.succeed("[ $(stat -c %s $LOCAL/out/f3000000) = 3000000 ]")
      }
    }

    /// Flipped bytes in every copy of one of two servers, then in its database too.
    @Test(.needsFuse) func damageIsWorkedAround() async throws {
      try await withKilledServers { cluster in
        try await cluster.shell.succeed(
          """
          cp -a $DIR/DFS1 $DIR/DFS2 $DIR/DFS3 $DIR/DFS4 $LOCAL
          cat > $LOCAL/flip.py <<'END'
          import glob, os, sys
          def flip(path, place):
              with open(path, "r+b") as file:
                  file.seek(place); old = file.read(1)
                  file.seek(place); file.write(bytes([old[0] ^ 1]))
          if sys.argv[1] == "parts":
              files = glob.glob(sys.argv[2] + "/*/parts/??/*")
              assert len(files) > 5
              for path in files: flip(path, (os.path.getsize(path) - 64) // 2)
          else:
              path = sys.argv[2] + "/Alice/namespace.sqlite-wal"
              for place in range(5000, os.path.getsize(path), 20000): flip(path, place)
              flip(sys.argv[2] + "/Alice/namespace.sqlite", 200)
          END
          python3 $LOCAL/flip.py parts $LOCAL/DFS2
          """)
        let copies = try await cluster.shell.succeed(
          """
          dfs rescue $LOCAL/DFS2 $LOCAL/DFS1 $LOCAL/DFS3 --privileged --to $LOCAL/out
          python3 $LOCAL/tree.py compare $LOCAL/tree $LOCAL/out
          chmod -R u+w $LOCAL/out; rm -r $LOCAL/out
          """, seconds: 120)
        #expect(
          copies.output.contains("incomplete: 0; damaged databases: 0, copies: "), "\(copies)")
        #expect(copies.errors.contains("is damaged in the block"), "\(copies)")
        // Small copies are in the database, so that the other three must be there.
        let database = try await cluster.shell.succeed(
          """
          echo "not a database" > $LOCAL/DFS1/Alice/namespace.sqlite
          rm $LOCAL/DFS1/Alice/namespace.sqlite-wal
          dfs rescue $LOCAL/DFS1 $LOCAL/DFS2 $LOCAL/DFS3 $LOCAL/DFS4 --privileged --to $LOCAL/out
          python3 $LOCAL/tree.py compare $LOCAL/tree $LOCAL/out
          chmod -R u+w $LOCAL/out; rm -r $LOCAL/out
          """, seconds: 120)
        #expect(database.output.contains("incomplete: 0; damaged databases: 1"), "\(database)")
        #expect(database.errors.contains("DFS1: the database is damaged and not used"))
        // A log that is damaged ends where it is: its rows are older ones, if they are proven at all.
        try await cluster.shell.succeed(
          """
          python3 $LOCAL/flip.py database $LOCAL/DFS4
          dfs rescue $DIR/DFS1 $DIR/DFS2 $DIR/DFS3 $LOCAL/DFS4 --privileged --to $LOCAL/out
          python3 $LOCAL/tree.py compare $LOCAL/tree $LOCAL/out
          """, seconds: 120)
      }
    }

    /// What makes programs run as somebody else, and devices, come back only if whoever rebuilds says so.
    @Test(.needsFuse, .needsRoot) func privilegesComeBackOnlyIfAsked() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $M; cp /bin/true program; mknod null c 1 3; mkfifo pipe; mkdir shared; chmod 2775 shared
          chown 1234:1234 program; chmod 6755 program
          python3 -c 'import os
          os.setxattr("program", "user.kept", b"1")
          os.setxattr("program", "security.capability", bytes.fromhex("01000002" "00040000" + "00" * 12))'
          """)
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        let plain = try await cluster.shell.fail(
          "dfs rescue $DIR/DFS1 $DIR/DFS3 --to $LOCAL/plain", status: 4)
        #expect(plain.output.contains("null: a device"), "\(plain)")
        #expect(plain.errors.contains("bits of 1 files were dropped"), "\(plain)")
        try await cluster.shell.succeed(
          """
          dfs rescue $DIR/DFS1 $DIR/DFS3 --privileged --to $LOCAL/all
          cat > $LOCAL/look.py <<'END'
          import os, sys
          os.chdir(sys.argv[1])
          status = os.stat("program")
          print(oct(status.st_mode & 0o7777), status.st_uid, oct(os.stat("shared").st_mode & 0o7777),
                sorted(os.listxattr("program")), os.path.exists("null"), os.path.exists("pipe"))
          END
          [ "$(python3 $LOCAL/look.py $LOCAL/plain)" = "0o755 1234 0o2775 ['user.kept'] False True" ]
          [ "$(python3 $LOCAL/look.py $LOCAL/all)" = \
            "0o6755 1234 0o2775 ['security.capability', 'user.kept'] True True" ]
          """)
      }
    }

    @Test(.needsFuse) func whatIsRefused() async throws {
      try await withKilledServers { cluster in
        let full = try await cluster.shell.fail(
          "mkdir -p $LOCAL/full/x; dfs rescue $DIR/DFS1 $DIR/DFS3 --to $LOCAL/full", status: 1)
        #expect(full.errors.contains("not an empty directory"))
        let unknown = try await cluster.shell.fail(
          "dfs rescue $DIR/DFS1 $DIR/DFS3 --user Bob --to $LOCAL/out", status: 1)
        #expect(unknown.errors.contains("nothing of user 'Bob'"))
        try await cluster.shell.fail("dfs rescue $DIR/DFS1", status: 64)
        try await cluster.shell.succeed(
          "cp -a $DIR/DFS1 $LOCAL; cp -a $LOCAL/DFS1/Alice $LOCAL/DFS1/Bob")
        let users = try await cluster.shell.fail(
          "dfs rescue $LOCAL/DFS1 --to $LOCAL/out", status: 1)
        #expect(users.errors.contains("--user: Alice, Bob"))
        try await cluster.servers.restart(ServerIndex(0))
        let live = try await cluster.shell.fail(
          "dfs rescue $DIR/DFS1 $DIR/DFS3 --to $LOCAL/out", status: 1)
        #expect(live.errors.contains("DFS1 is in use by a running dfs"))
        try await cluster.shell.succeed("[ ! -e $LOCAL/out ]")
      }
    }
  }
}
