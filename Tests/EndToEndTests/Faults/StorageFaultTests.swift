import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// One faulty file on one server, of every kind that the server keeps, and every fault that a disk
  /// has: nothing is lost, nothing is served wrong, and the others do not catch it.
  ///
  /// `scripts/test` runs a third of the rows, by the day (or the number in DFS_TEST_SEED), with every
  /// fault and every kind of file; `--all` runs all of them, DFS_TEST_ROW those whose name (as in
  /// `database: EIO on read`) has these words.
  @Suite struct StorageFaults {
    enum Target: String, CaseIterable {
      case database = "database"
      case log = "log of the database"
      case copy = "part file"
      case users = "users file"
      case identity = ".dfs/identity"
    }

    enum Fault: String, CaseIterable {
      // The file is edited behind the server's back.
      case flipped = "flipped byte"
      case zeroed = "zeroed page"
      case truncated = "truncated"
      case missing = "missing"
      // Calls of the running server are answered with the error (Tests/FailingFiles).
      case readError = "EIO on read"
      case writeError = "EIO on write"
      case syncError = "EIO on fsync"
      case full = "full disk"

      var isEdit: Bool { [.flipped, .zeroed, .truncated, .missing].contains(self) }
    }

    private static let fill = """
      mkdir -p $LOCAL/tree/sub $LOCAL/new
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
      let seed = Self.seed
      var places = Self.places(seed: seed, all: Requirements.large)
      if let row = ProcessInfo.processInfo.environment["DFS_TEST_ROW"] {
        places = Self.places(seed: seed, all: true).filter { $0.row.contains(row) }
      }
      var matrix = FaultMatrix()
      var number = 0
      // After a row that failed, the others go on in a cluster of their own.
      while number < places.count {
        try await MountedCluster.run(mounts: 0, withFailingFiles: true) { cluster in
          try Self.tool.write(
            toFile: cluster.local + "/fault.py", atomically: true, encoding: .utf8)
          try await cluster.shell.succeed(Self.fill)
          while number < places.count {
            let place = places[number]
            number += 1
            let trial = FaultTrial(
              cluster: cluster, target: place.target, fault: place.fault, server: place.server,
              number: number, seed: seed)
            matrix.rows.append(try await trial.run())
          }
        }
      }
      try matrix.write()
    }

    @Test func aThirdHasEveryFaultAndEveryKindOfFile() {
      let all = Set(Self.places(seed: 0, all: true).map(\.row))
      #expect(all.count == Fault.allCases.count * Target.allCases.count)
      for seed in 0..<12 {
        let third = Self.places(seed: seed, all: false)
        #expect(Set(third.map(\.fault)).count == Fault.allCases.count)
        #expect(Set(third.map(\.target)).count == Target.allCases.count)
        #expect(third.count <= all.count / 3 + 1)
      }
      let three = (0..<3).flatMap { Self.places(seed: $0, all: false).map(\.row) }
      #expect(Set(three) == all)
      for target in Target.allCases {
        let servers = Self.places(seed: 5, all: true).filter { $0.target == target }.map(\.server)
        #expect(Set(servers).count == Limits.serverCount)
      }
    }

    /// One row: what is struck, how, and where.
    struct Place: Hashable {
      let target: Target
      let fault: Fault
      let server: ServerIndex

      var row: String { "\(target.rawValue): \(fault.rawValue)" }
    }

    /// DFS_TEST_SEED, else days since 1970.
    static var seed: Int {
      ProcessInfo.processInfo.environment["DFS_TEST_SEED"].flatMap { Int($0) }
        ?? Int(Date().timeIntervalSince1970) / 86_400
    }

    private static func places(seed: Int, all: Bool) -> [Place] {
      var places: [Place] = []
      for (column, target) in Target.allCases.enumerated() {
        for (row, fault) in Fault.allCases.enumerated()
        where all || (column + row + seed) % 3 == 0 {
          let server = ServerIndex((column + row + seed / 3) % Limits.serverCount)
          places.append(Place(target: target, fault: fault, server: server))
        }
      }
      return places
    }

    /// `fault.py FAULT FILE SEED`
    private static let tool = """
      import os, random, sys
      fault, path, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
      chance = random.Random(seed)
      size = os.path.getsize(path)
      if path.endswith("-wal"):
          # Only what is in use: behind that may be frames of an earlier round of the log.
          frames = int.from_bytes(open(path[:-3] + "shm", "rb").read(20)[16:], sys.byteorder)
          page = int.from_bytes(open(path, "rb").read(12)[8:], "big")
          size = min(size, 32 + frames * (24 + page))
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
