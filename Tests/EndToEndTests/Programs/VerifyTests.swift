import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// `dfc verify` over four real servers: what it reads, what it finds, and how it ends.
  @Suite struct Verify {
    private static let (dfs1, dfs2, dfs3) = (ServerIndex(0), ServerIndex(1), ServerIndex(2))

    /// `tree/` with sizes 0 to 5, a small file, and large ones; all placed by x = 0 but the empty one.
    private static let sizes = [0, 1, 2, 3, 4, 5, 5000, 131_073, 5_000_000]

    private static func store(in cluster: MountedCluster) async throws {
      try FileManager.default.createDirectory(
        atPath: cluster.local + "/tree/below", withIntermediateDirectories: true)
      for size in sizes {
        let bytes = size == 0 ? [] : Content.random(size, placedBy: 0)
        let folder = size == 5000 ? "tree/below" : "tree"
        try Content.write(bytes, to: "\(cluster.local)/\(folder)/f\(size)")
      }
      try await cluster.shell.succeed("dfc $CONF put -r $LOCAL/tree")
    }

    /// 1 to 3 bytes are one part, two copies; the empty file has none.
    private static let copies = 3 * 2 + 5 * 8
    private static let bytes = sizes.reduce(0, +)

    /// The last line of the output without its date, which must be one.
    private static func summary(_ result: Shell.Result) throws -> String {
      let last = try #require(result.output.split(separator: "\n").last.map(String.init))
      let match = try #require(last.wholeMatch(of: /\d{4}-\d\d-\d\d \d\d:\d\d: (.*)/), "\(result)")
      return String(match.1)
    }

    private static func objects(_ result: Shell.Result) throws -> [[String: Any]] {
      try result.output.split(separator: "\n").map { line in
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(object as? [String: Any])
      }
    }

    @Test func everythingIsGood() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await Self.store(in: cluster)
        let all = try await cluster.shell.succeed("dfc $CONF verify --all")
        #expect(
          try Self.summary(all) == "9 files, \(Self.copies) copies, 9.8 MiB read back: all good")
        #expect(all.output.split(separator: "\n").count == 1 && all.errors.isEmpty)
        let one = try await cluster.shell.succeed("dfc $CONF verify --quiet")
        #expect(
          try Self.summary(one).contains("\(Self.copies) copies (\(Self.copies / 2) in full)"))
        let some = try await cluster.shell.succeed("dfc $CONF verify tree/below tree/f3 --all")
        #expect(try Self.summary(some).hasPrefix("2 files, 10 copies, "))
        let json = try await cluster.shell.succeed("dfc $CONF verify --all --json")
        let summary = try #require(try Self.objects(json).first)
        #expect(summary["files"] as? Int == 9 && summary["good"] as? Int == Self.copies)
        #expect(summary["bytesRead"] as? Int == 2 * Self.bytes)
        try await cluster.shell.fail("dfc $CONF verify nothing", status: 1)
      }
    }

    @Test func damagedAndDeletedCopiesAreNamed() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await Self.store(in: cluster)
        try await cluster.flip("f5000000", part: 2, on: Self.dfs2, at: 70_000)
        try await cluster.flip("f5000", part: 3, on: Self.dfs3, at: 0)
        try await cluster.delete("f131073", part: 3, on: Self.dfs2)
        try await cluster.delete("f4", part: 1, on: Self.dfs1)
        let result = try await cluster.shell.fail("dfc $CONF verify --all", status: 1)
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 5, "\(result)")
        let starts = [
          "tree/f5000000: part 2 on DFS2 is damaged from byte 1315536 of the file, 65536 bytes: ",
          "tree/below/f5000: part 3 on DFS3 is damaged from byte 2500 of the file, 1250 bytes: ",
          "tree/f131073: part 3 on DFS2 is missing: ", "tree/f4: part 1 on DFS1 is missing: ",
        ]
        for start in starts {
          #expect(lines.contains { $0.hasPrefix(start) }, "\(start)\n\(lines)")
        }
        #expect(try Self.summary(result).hasSuffix(": 2 copies missing, 2 damaged"))
        // Every file is still read right.
        try await cluster.shell.succeed(
          "dfc $CONF get -r tree $LOCAL/got; diff -r $LOCAL/tree $LOCAL/got")
        let json = try await cluster.shell.fail("dfc $CONF --json verify --all tree", status: 1)
        let objects = try Self.objects(json)
        let damaged = try #require(objects.first { $0["name"] as? String == "tree/f5000000" })
        #expect(damaged["kind"] as? String == "copy" && damaged["problem"] as? String == "damaged")
        #expect(damaged["server"] as? String == "DFS2" && damaged["part"] as? Int == 2)
        #expect(damaged["offset"] as? Int == 1_315_536)
        #expect(objects.last?["missing"] as? Int == 2 && objects.last?["damaged"] as? Int == 2)
      }
    }

    @Test func aPartWithoutAGoodCopyIsStatus4() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await Self.store(in: cluster)
        try await cluster.flip("f5000000", part: 2, on: Self.dfs2, at: 70_000)
        try await cluster.flip("f5000000", part: 2, on: Self.dfs1, at: 1_200_000)
        for all in ["", "--all"] {
          let result = try await cluster.shell.fail("dfc $CONF verify \(all)", status: 4)
          #expect(
            try Self.summary(result)
              .hasSuffix(": 2 copies damaged, 1 file with a part that has no good copy"))
        }
        try await cluster.delete("f5", part: 2, on: Self.dfs2)
        try await cluster.flip("f5", part: 2, on: Self.dfs1, at: 0)
        try await cluster.shell.fail("dfc $CONF verify tree/f5", status: 4)
        try await cluster.shell.succeed("dfc $CONF verify tree/below")
      }
    }

    @Test func serversThatAreDown() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await Self.store(in: cluster)
        try await cluster.servers.kill(Self.dfs2)
        for all in ["", "--all"] {
          let result = try await cluster.shell.fail("dfc $CONF verify \(all)", status: 1)
          // Two parts of each of the five larger files; of the tiny ones only DFS3 and DFS4 have some.
          #expect(try Self.summary(result).hasSuffix(": 10 copies missing (DFS2 is down)"))
          #expect(result.output.contains("tree/f4: part 2 on DFS2 is missing: DFS2 ("), "\(result)")
        }
        try await cluster.servers.kill(Self.dfs3)
        let result = try await cluster.shell.fail("dfc $CONF verify --all", status: 4)
        #expect(
          try Self.summary(result).hasSuffix(
            ": 23 copies missing (DFS2, DFS3 are down), 5 files with a part that has no good copy"),
          "\(result)")
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        try await cluster.shell.fail("dfc $CONF verify", seconds: 20, status: 5)
      }
    }

    /// Files that are replaced or removed while they are read back are no fault of their copies.
    @Test func filesThatChangeMeanwhile() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed(
          """
          mkdir $LOCAL/d
          for i in 1 2 3; do
            head -c 3000 /dev/urandom > $LOCAL/d/small$i; head -c 3000000 /dev/urandom > $LOCAL/d/large$i
          done
          dfc $CONF put -r $LOCAL/d
          while [ ! -e $LOCAL/done ]; do
            dfc $CONF put -r $LOCAL/d; dfc $CONF rm d/small2 d/large2; echo >> $LOCAL/rounds
          done &
          for i in 1 2 3 4 5 6; do dfc $CONF verify --all > $LOCAL/result || { cat $LOCAL/result; status=1; }
          done
          touch $LOCAL/done; wait; [ -z "$status" ]; [ $(wc -l < $LOCAL/rounds) -ge 2 ]
          """, seconds: 120)
      }
    }

    /// On a terminal there is a bar while it takes long, and nothing of it is left in the end.
    @Test func theBarOnATerminal() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed(
          """
          head -c 60000000 /dev/zero > $LOCAL/f; dfc $CONF put $LOCAL/f
          cat > $LOCAL/terminal.py <<'END'
          import os, pty, sys, signal, threading
          output = b""
          def read(end):
              global output
              data = os.read(end, 4096)
              output += data
              return data
          status = pty.spawn(["bash", "-c", sys.argv[1]], read)
          assert status == 0, output
          assert b"verifying " in output and b" of 114 MiB" in output, output
          assert b"all good" in output.split(b"\\n")[-2], output
          END
          """)
        // One server runs for some milliseconds of every 200 only, so that it takes seconds.
        let pid = try await cluster.shell.succeed("server_pid DFS3").line
        try await cluster.shell.succeed(
          """
          while [ ! -e $LOCAL/done ]; do
            kill -STOP \(pid); sleep 0.2; kill -CONT \(pid); sleep 0.005
          done &
          python3 $LOCAL/terminal.py "dfc $CONF verify --all" || status=1
          touch $LOCAL/done; wait; [ -z "$status" ]
          """)
      }
    }
  }
}
