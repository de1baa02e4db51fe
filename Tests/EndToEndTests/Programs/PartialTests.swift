import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// `dfc get --partial`: what can be had of files of which parts or blocks have no good copy.
  @Suite struct Partial {
    private static let (dfs1, dfs2, dfs3) = (ServerIndex(0), ServerIndex(1), ServerIndex(2))

    private static func store(
      _ name: String, _ size: Int, in cluster: MountedCluster
    ) async throws -> [UInt8] {
      let bytes = size == 0 ? [] : Content.random(size, placedBy: 0)
      try Content.write(bytes, to: "\(cluster.local)/\(name)")
      try await cluster.shell.succeed("dfc $CONF put $LOCAL/\(name)")
      return bytes
    }

    /// The content with zeros in these ranges.
    private static func zeroed(_ bytes: [UInt8], _ ranges: [Range<Int>]) -> [UInt8] {
      var bytes = bytes
      for range in ranges { for index in range { bytes[index] = 0 } }
      return bytes
    }

    private static func contents(_ path: String) throws -> [UInt8] {
      Array(try #require(FileManager.default.contents(atPath: path), "no \(path)"))
    }

    @Test func blocksThatAreBadInBothCopies() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        let bytes = try await Self.store("f", 5_000_000, in: cluster)
        for server in [Self.dfs1, Self.dfs2] {
          try await cluster.flip("f", part: 2, on: server, at: 70_000)
          try await cluster.flip("f", part: 2, on: server, at: 1_249_000)
        }
        try await cluster.flip("f", part: 2, on: Self.dfs1, at: 500_000)
        try await cluster.flip("f", part: 2, on: Self.dfs2, at: 600_000)
        try await cluster.shell.fail("dfc $CONF get f $LOCAL/got")
        let result = try await cluster.shell.fail(
          "mkdir $LOCAL/d; cd $LOCAL/d; dfc $CONF get --partial f", status: 4)
        let gaps = [1_315_536..<1_381_072, 2_495_184..<2_500_000]
        #expect(
          try Self.contents(cluster.local + "/d/f.partial") == Self.zeroed(bytes, gaps))
        try await cluster.shell.succeed("[ \"$(ls -A $LOCAL/d)\" = f.partial ]")
        for gap in gaps {
          let line =
            "  part 2, bytes \(gap.lowerBound) to \(gap.upperBound - 1) (\(gap.count)): DFS1"
          #expect(result.errors.contains(line), "\(result)")
        }
        #expect(result.errors.contains("\(5_000_000 - 65_536 - 4816) of 5000000 bytes fetched"))
        // A name that was given is used as it is; - gives zeros.
        try await cluster.shell.fail("dfc $CONF get --partial f $LOCAL/mine", status: 4)
        try await cluster.shell.succeed("cmp $LOCAL/mine $LOCAL/d/f.partial")
        try await cluster.shell.fail("dfc $CONF get --partial f - > $LOCAL/stream", status: 4)
        try await cluster.shell.succeed("cmp $LOCAL/stream $LOCAL/d/f.partial")
      }
    }

    /// Damage that leaves one good copy of each block is no loss.
    @Test func aFileThatTurnsOutToBeWhole() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        _ = try await Self.store("f", 3_000_000, in: cluster)
        try await cluster.flip("f", part: 3, on: Self.dfs2, at: 0)
        try await cluster.flip("f", part: 3, on: Self.dfs3, at: 70_000)
        try await cluster.shell.fail("dfc $CONF get f $LOCAL/got")
        let json = try await cluster.shell.succeed(
          """
          mkdir $LOCAL/d; cd $LOCAL/d; dfc $CONF get --partial --json f; cmp f $LOCAL/f
          [ "$(ls -A)" = f ]; dfc $CONF get --partial f - | cmp - $LOCAL/f
          """)
        let line = try #require(json.output.split(separator: "\n").first)
        let object = try #require(
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["partial"] as? Bool == false && object["fetched"] as? Int == 3_000_000)
        #expect((object["missing"] as? [Any])?.isEmpty == true)
      }
    }

    @Test func neighboursThatAreDownTakeOnePart() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        let large = try await Self.store("large", 9_000_000, in: cluster)
        let small = try await Self.store("small", 5000, in: cluster)
        for server in [Self.dfs2, Self.dfs3] { try await cluster.servers.kill(server) }
        try await cluster.shell.fail("dfc $CONF get large $LOCAL/got", status: 4)
        let result = try await cluster.shell.fail(
          "cd $LOCAL; dfc $CONF get --partial --json large small .", status: 4)
        #expect(
          try Self.contents(cluster.local + "/large.partial")
            == Self.zeroed(large, [4_500_000..<6_750_000]))
        #expect(
          try Self.contents(cluster.local + "/small.partial") == Self.zeroed(small, [2500..<3750]))
        // The hole takes no space.
        try await cluster.shell.succeed(
          "[ $(stat -c %b $LOCAL/large.partial) -lt $(stat -c %b $LOCAL/large) ]")
        let objects = try result.output.split(separator: "\n").map { line in
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        }
        #expect(objects.count == 2, "\(result)")
        let missing = try #require((objects[0]?["missing"] as? [[String: Any]])?.first)
        #expect(objects[0]?["fetched"] as? Int == 6_750_000)
        #expect(missing["part"] as? Int == 3 && missing["offset"] as? Int == 4_500_000)
        #expect(missing["bytes"] as? Int == 2_250_000)
        #expect(missing["servers"] as? [String] == ["DFS2", "DFS3"])
      }
    }

    /// The copy that is left is there, and is not whole.
    @Test func aDamagedCopyWhoseOtherReplicaIsDown() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        let bytes = try await Self.store("f", 3_000_000, in: cluster)
        try await cluster.flip("f", part: 2, on: Self.dfs2, at: 0)
        try await cluster.servers.kill(Self.dfs1)
        let get = try await cluster.shell.fail("dfc $CONF get f $LOCAL/got", status: 4)
        #expect(get.errors.contains("File is incomplete. part 2 of version"), "\(get)")
        #expect(get.errors.contains("DFS1 (") && get.errors.contains("block 0"), "\(get)")
        let result = try await cluster.shell.fail(
          "dfc $CONF get --partial f $LOCAL/got", status: 4)
        #expect(
          try Self.contents(cluster.local + "/got") == Self.zeroed(bytes, [750_000..<815_536]))
        #expect(result.errors.contains("bytes 750000 to 815535 (65536): DFS1 ("), "\(result)")
        #expect(result.errors.contains("; DFS2: the copy "), "\(result)")
      }
    }

    /// A tree: whole files under their names, the others marked.
    @Test func aTree() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await cluster.shell.succeed("mkdir -p $LOCAL/tree/below")
        var contents: [String: [UInt8]] = [:]
        for size in [0, 1, 2, 3, 4, 5, 5000, 700_000] {
          let bytes = size == 0 ? [] : Content.random(size, placedBy: 0)
          contents["below/f\(size)"] = bytes
          try Content.write(bytes, to: cluster.local + "/tree/below/f\(size)")
        }
        try await cluster.shell.succeed("dfc $CONF put -r $LOCAL/tree")
        try await cluster.delete("f5", part: 1, on: Self.dfs1)
        try await cluster.flip("f5", part: 1, on: ServerIndex(3), at: 0)
        for server in [Self.dfs1, Self.dfs2] {
          try await cluster.delete("f700000", part: 2, on: server)
        }
        let result = try await cluster.shell.fail(
          "dfc $CONF get -r --partial tree $LOCAL/got", status: 4)
        let gaps = ["below/f5": 0..<1, "below/f700000": 175_000..<350_000]
        for (name, bytes) in contents {
          let gap = gaps[name]
          let path = "\(cluster.local)/got/\(name)" + (gap == nil ? "" : ".partial")
          #expect(try Self.contents(path) == Self.zeroed(bytes, gap.map { [$0] } ?? []), "\(name)")
        }
        try await cluster.shell.succeed("[ $(find $LOCAL/got -type f | wc -l) = 8 ]")
        let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("  part ") }
        #expect(lines.count == 2, "\(result)")
        #expect(lines.contains { $0.contains("DFS1: ") && $0.contains("DFS2: ") }, "\(result)")
      }
    }
  }
}
