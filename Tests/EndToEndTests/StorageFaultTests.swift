import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// One faulty file on one server, of every kind that the server keeps: nothing is lost, nothing is
  /// served wrong, and the others do not catch it.
  @Suite struct StorageFaults {
    /// What is damaged; the file is edited behind the server's back.
    enum Target: String, CaseIterable {
      case database = "database"
      case log = "log of the database, after kill -9"
      case copy = "part file"
      case users = "users file"
      case identity = ".dfs/identity"
    }

    enum Fault: String, CaseIterable {
      case flipped = "flipped byte"
      case zeroed = "zeroed page"
      case truncated = "truncated"
      case missing = "missing"
    }

    private static let fill = """
      mkdir -p $LOCAL/tree/sub
      for i in 1 2 3; do
        head -c $((i * 200000)) /dev/urandom > $LOCAL/tree/large$i
        head -c $((i * 3000)) /dev/urandom > $LOCAL/tree/sub/small$i
      done
      for i in $(seq 20); do echo $i > $LOCAL/tree/sub/tiny$i; done
      : > $LOCAL/tree/empty
      dfc $CONF put -r $LOCAL/tree
      sed 's/^#* *Writes.*//' $CONF > $LOCAL/quorum.conf; echo 'Writes: quorum' >> $LOCAL/quorum.conf
      chmod 600 $LOCAL/quorum.conf
      """

    @Test func theMatrix() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try Self.tool.write(
          toFile: cluster.local + "/fault.py", atomically: true, encoding: .utf8)
        try await cluster.shell.succeed(Self.fill)
        var matrix = FaultMatrix()
        var number = 0
        for target in Target.allCases {
          for fault in Fault.allCases {
            // Flipped bytes are where chance puts them: three of them in a database.
            let rounds = fault == .flipped && target == .database ? 3 : 1
            for _ in 0..<rounds {
              let server = ServerIndex(number % 4)
              number += 1
              let trial = FaultTrial(
                cluster: cluster, target: target, fault: fault, server: server, number: number)
              matrix.rows.append(try await trial.run())
            }
          }
        }
        try matrix.write()
      }
    }

    /// `fault.py FAULT FILE SEED`
    private static let tool = """
      import os, random, sys
      fault, path, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
      chance = random.Random(seed)
      size = os.path.getsize(path)
      if fault == "missing":
          os.remove(path)
      elif fault == "truncated":
          os.truncate(path, chance.randrange(size))
      else:
          page = min(4096, size)
          with open(path, "r+b") as file:
              if fault == "flipped":
                  place = chance.randrange(size)
                  file.seek(place)
                  old = file.read(1)[0]
                  file.seek(place)
                  file.write(bytes([old ^ (1 << chance.randrange(8))]))
              else:
                  file.seek(chance.randrange(size // page) * page)
                  file.write(bytes(page))
      """
  }
}
