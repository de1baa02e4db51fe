import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Which copies are where, read from the servers' disks and compared with the table of docs/ARCHITECTURE.md.
  @Suite struct PlacementOnDisk {
    /// The table, as it is written there: for x = MD5 mod 4 the parts of DFS1 … DFS4.
    static let table: [[[Int]]] = [
      [[1, 2], [2, 3], [3, 4], [4, 1]],
      [[4, 1], [1, 2], [2, 3], [3, 4]],
      [[3, 4], [4, 1], [1, 2], [2, 3]],
      [[2, 3], [3, 4], [4, 1], [1, 2]],
    ]

    /// One copy on one server's disk.
    struct Copy: Hashable {
      let server: Int
      let name: String
      let part: Int
      let bytes: Int
      let md5: String
    }

    /// Prints every copy of a server's disk with the name of its file: part files, and rows of the
    /// database (docs/FORMATS.md, "Disk").
    private static let reader = """
      import glob, hashlib, os, sqlite3, sys
      for server in range(1, 5):
          for path in glob.glob(f"{sys.argv[1]}/DFS{server}/**/namespace.sqlite", recursive=True):
              folder = os.path.dirname(path)
              db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
              names = dict(db.execute("select inode.version, entry.name from inode "
                  "join entry on entry.child = inode.id where inode.version is not null"))
              copies = list(db.execute("select version, part, bytes from part"))
              for file in glob.glob(f"{folder}/parts/??/*"):
                  version, part = os.path.basename(file).split(".")
                  data = open(file, "rb").read()
                  length = int.from_bytes(data[-24:-16], "big")
                  copies.append((bytes.fromhex(version), int(part), data[:length]))
              for version, part, data in copies:
                  name = names.get(version, b"?").decode()
                  digest = hashlib.md5(data).hexdigest()
                  print(server, name, part, len(data), digest)
      """

    private static func copies(in cluster: MountedCluster) async throws -> Set<Copy> {
      try reader.write(
        toFile: cluster.local + "/copies.py", atomically: true, encoding: .utf8)
      let output = try await cluster.shell.succeed("python3 $LOCAL/copies.py $DIR").output
      let copies = output.split(separator: "\n").compactMap { line -> Copy? in
        let words = line.split(separator: " ").map(String.init)
        guard words.count == 5, let server = Int(words[0]), let part = Int(words[2]),
          let bytes = Int(words[3])
        else { return nil }
        return Copy(server: server, name: words[1], part: part, bytes: bytes, md5: words[4])
      }
      // '?' is a version that was replaced and is not collected yet.
      let named = copies.filter { $0.name != "?" }
      #expect(Set(named).count == named.count, "no copy is there twice")
      return Set(copies)
    }

    /// What the table asks for; parts without bytes need not be anywhere.
    private static func expected(_ name: String, _ bytes: [UInt8]) -> Set<Copy> {
      let quarter = bytes.count / 4
      let row = table[MD5Digest.of(bytes).modulo4]
      var copies: Set<Copy> = []
      for (server, parts) in row.enumerated() {
        for part in parts {
          let end = part == 4 ? bytes.count : part * quarter
          let content = bytes[(part - 1) * quarter..<end]
          copies.insert(
            Copy(
              server: server + 1, name: name, part: part, bytes: content.count,
              md5: MD5Digest.of(content).description))
        }
      }
      return copies
    }

    /// Small and large files of every row of the table, through both clients, and again after they
    /// were replaced: each part on exactly the two servers of the table.
    @Test(.needsFuse) func everyPartIsWhereTheTableSays() async throws {
      try await MountedCluster.run { cluster in
        for round in 1...2 {
          var wanted: Set<Copy> = []
          for x in 0..<4 {
            for size in [1, 4, 5, 1000, 131_072, 131_073, 900_001] {
              for client in ["mount", "dfc"] {
                let name = "\(client)-\(size)-\(x)"
                let bytes = Content.random(size + round - 1, placedBy: x)
                try Content.write(bytes, to: cluster.local + "/" + name)
                wanted.formUnion(Self.expected(name, bytes))
              }
            }
          }
          try await cluster.shell.succeed(
            "cp $LOCAL/mount-* $M; dfc $CONF put $LOCAL/dfc-*; sync $M/*", seconds: 120)
          // Copies of replaced versions may stay a little while; they have no name.
          let found = try await Self.copies(in: cluster)
          let named = found.filter { $0.name != "?" }
          let empty = { (copy: Copy) in copy.bytes == 0 }
          #expect(
            Set(named.filter { !empty($0) }) == Set(wanted.filter { !empty($0) }),
            "round \(round)")
          #expect(Set(named.filter(empty)).isSubset(of: wanted.filter(empty)), "round \(round)")
        }
      }
    }
  }
}
