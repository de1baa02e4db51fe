import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd.StorageFaults {
  /// What a file consists of that was changed in place.
  enum Piece: String, CaseIterable {
    case base = "base"
    case layer = "layer"
    /// Its parts are rows of the database.
    case small = "small layer"
    case index = "index of a layer"

    /// The layer, counted from 1; 0: the base.
    var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  /// One copy of a part of a stack of layers, or both, damaged in one of the ways of `Fault.isEdit`: with one good
  /// copy all is read as it was written, and healed; with none it is said, and no wrong byte is read.
  ///
  /// `DFS_TEST_ROW`, as in `small layer: missing, both`, and the rest as of `theMatrix`.
  @Test(.needsFuse) func stacksOfLayers() async throws {
    let places = Self.stackPlaces
    var matrix = FaultMatrix()
    var number = 0
    while number < places.count {
      // What tries to heal meanwhile is what the test asks to.
      try await MountedCluster.run(mountOptions: "heal=off") { cluster in
        try await StackTrial.prepare(cluster)
        while number < places.count {
          let place = places[number]
          number += 1
          matrix.rows.append(try await StackTrial(cluster, place, number).run())
        }
      }
    }
    try matrix.write()
  }

  struct StackPlace {
    let piece: Piece
    let fault: Fault
    let isBoth: Bool

    var row: String { "\(piece.rawValue): \(fault.rawValue), \(isBoth ? "both" : "one")" }
  }

  private static var stackPlaces: [StackPlace] {
    var places: [StackPlace] = []
    let wanted = ProcessInfo.processInfo.environment["DFS_TEST_ROW"]
    for (column, piece) in Piece.allCases.enumerated() {
      for (row, fault) in Fault.allCases.filter(\.isEdit).enumerated() {
        for isBoth in [false, true] {
          let place = StackPlace(piece: piece, fault: fault, isBoth: isBoth)
          let isToday = (column + row + (isBoth ? 1 : 0) + seed) % 3 == 0
          if wanted.map({ place.row.contains($0) }) ?? (Requirements.large || isToday) {
            places.append(place)
          }
        }
      }
    }
    return places
  }
}

/// One row: a file with a base and three layers, some of which is damaged behind the servers' backs.
private struct StackTrial {
  private let cluster: MountedCluster
  private let place: EndToEnd.StorageFaults.StackPlace
  private let name: String

  private var shell: Shell { cluster.shell }

  init(_ cluster: MountedCluster, _ place: EndToEnd.StorageFaults.StackPlace, _ number: Int) {
    (self.cluster, self.place, name) = (cluster, place, "stack\(number)")
  }

  static func prepare(_ cluster: MountedCluster) async throws {
    for (file, text) in [("make", make), ("damage", damage), ("look", look)] {
      try text.write(toFile: "\(cluster.local)/\(file).py", atomically: true, encoding: .utf8)
    }
  }

  func run() async throws -> FaultMatrix.Row {
    try await succeed("python3 $LOCAL/make.py \(name); dfc $CONF where \(name) | grep ' 3 layers,'")
    // A mount that has read nothing of it.
    try await cluster.endMount("$M")
    let both = place.isBoth ? "both" : "one"
    let fault = "'\(place.fault.rawValue)'"
    let struck = try await succeed(
      "python3 $LOCAL/damage.py \(name) \(place.piece.number) \(fault) \(both)")
    try await cluster.startMount("$M")
    var row = FaultMatrix.Row(fault: "\(place.row)", server: struck.line)
    (row.start, row.put, row.repaired) = ("not touched", "not tried", "healing")
    try await (place.isBoth ? lose(&row) : heal(&row))
    try await succeed("dfc $CONF rm \(name)")
    let left = try await succeed("dfc $CONF verify --all")
    guard left.output.contains("all good") else { throw failed("verify", left) }
    return row
  }

  private func heal(_ row: inout FaultMatrix.Row) async throws {
    try await succeed("python3 $LOCAL/look.py \(name) 0; \(Self.get(name))")
    row.get = "all right"
    try await findBad(status: 1)
    try await scrub()
    row.scrub = "finds the copy"
    let list = try await succeed("dfc $CONF list \(name)")
    guard !list.output.contains("[incomplete]") else { throw failed("list", list) }
    row.list = "all"
    // Who heals must not find it quiet, and settle it.
    try await succeed("chmod 600 $M/\(name); dfc $CONF heal --wait; dfc $CONF verify --all")
    row.heal = "done"
    try await succeed("dfc $CONF where \(name) | grep ' 3 layers,'; \(Self.get(name))")
    row.after = "every copy good on all four"
  }

  private func lose(_ row: inout FaultMatrix.Row) async throws {
    try await succeed("python3 $LOCAL/look.py \(name) \(place.piece == .index ? 2 : 1)")
    let got = try await shell.bash("rm -f $LOCAL/got; dfc $CONF get \(name) $LOCAL/got")
    guard got.status != 0 else { throw failed("get", got) }
    try await succeed("test ! -e $LOCAL/got")
    row.get = "an error"
    try await findBad(status: 4)
    try await scrub()
    row.scrub = "finds the copies"
    let list = try await succeed("dfc $CONF list \(name)")
    // A damaged copy is one until a good one takes its place: that is verify's to say.
    let isListed = list.output.contains("\(name) [incomplete]")
    guard isListed == (place.fault == .missing) else { throw failed("list", list) }
    row.list = isListed ? "`[incomplete]`" : "all"
    let healed = try await shell.bash("dfc $CONF heal")
    let status = try await shell.bash("dfc $CONF status")
    guard healed.status != 0, status.status == 4 else { throw failed("status", status) }
    row.heal = "cannot"
    try await succeed("python3 $LOCAL/look.py \(name) \(place.piece == .index ? 2 : 1)")
    row.after = "lost, and said to be"
  }

  /// `dfc verify` names the copies, and nothing else.
  private func findBad(status: Int32) async throws {
    let found = try await shell.bash("dfc $CONF verify --all")
    let lines = found.output.split(separator: "\n").filter { $0.contains(" on DFS") }
    let what = place.piece == .base ? " of the base on " : " of layer \(place.piece.number) on "
    let isRight = lines.allSatisfy { $0.contains(what) && $0.hasPrefix("\(name): part ") }
    guard found.status == status, lines.count == (place.isBoth ? 2 : 1), isRight else {
      throw failed("verify", found)
    }
  }

  private func scrub() async throws {
    let result = try await shell.bash("dfc $CONF scrub --wait", seconds: 60)
    guard [0, 1].contains(result.status) else { throw failed("scrub", result) }
  }

  private static func get(_ name: String) -> String {
    "rm -f $LOCAL/got; dfc $CONF get \(name) $LOCAL/got; cmp $LOCAL/got $LOCAL/\(name)"
  }

  @discardableResult
  private func succeed(_ script: String) async throws -> Shell.Result {
    let result = try await shell.bash("set -e; export DIR M LOCAL; " + script, seconds: 90)
    guard result.status == 0 else { throw failed(script, result) }
    return result
  }

  private func failed(_ script: String, _ result: Shell.Result) -> FaultTrial.Failed {
    let (output, errors) = (result.output.suffix(1500), result.errors.suffix(1500))
    return FaultTrial.Failed(
      description: "\(place.row): \(script): \(result.status)\n\(output)\n\(errors)")
  }

  // MARK: Scripts

  /// `make.py NAME`: a base, a layer of large parts, one of small ones, and one with so many ranges that its index
  /// is in its content; the same on the local disk.
  private static let make = """
    import os, shutil, sys
    here, there = (os.environ[d] + "/" + sys.argv[1] for d in ("M", "LOCAL"))
    with open(there, "wb") as file: file.write(os.urandom(3_000_000))
    shutil.copyfile(there, here)
    files = [os.open(path, os.O_RDWR) for path in (here, there)]
    for ranges in ([(500_000, 300_000)], [(1_500_000, 5000)],
                   [(2_000_000 + i * 3000, 1000) for i in range(200)]):
        for place, count in ranges:
            data = os.urandom(count)
            for file in files: os.pwrite(file, data, place)
        os.fsync(files[0])
    for file in files: os.close(file)
    """

  /// `look.py NAME LOST`: 0: all can be read; 1: some cannot, with an error; 2: nothing can. No byte is wrong.
  private static let look = """
    import errno, os, sys
    here, there = (os.open(os.environ[d] + "/" + sys.argv[1], os.O_RDONLY) for d in ("M", "LOCAL"))
    good = bad = place = 0
    size = os.fstat(there).st_size
    assert os.fstat(here).st_size == size
    while place < size:
        try:
            # Less is read where then nothing can be.
            data = os.pread(here, 16384, place)
            assert data and data == os.pread(there, len(data), place), place
            good += 1
            place += len(data)
        except OSError as error:
            assert error.errno == errno.EIO, error
            bad += 1
            place = (place // 4096 + 1) * 4096
    print(good, bad)
    lost = int(sys.argv[2])
    assert (bad > 0) == (lost > 0) and (good > 0) == (lost < 2), (good, bad)
    """

  /// `damage.py NAME NUMBER FAULT one|both`: of the base or a layer part 1; where its index is, if it has one there.
  private static let damage = """
    import glob, os, sqlite3, sys
    name, number, fault, who = sys.argv[1:]
    def damaged(data):
        if fault == "truncated": return data[:len(data) // 3]
        if fault == "flipped byte": return data[:100] + bytes([data[100] ^ 1]) + data[101:]
        return bytes(min(4096, len(data))) + data[4096:]
    struck = []
    for path in sorted(glob.glob(os.environ["DIR"] + "/DFS?/**/namespace.sqlite", recursive=True)):
        with sqlite3.connect(path, timeout=20) as db:
            # The layers of this file: there is no other.
            [(base,)] = db.execute("select inode.version from inode join entry on child = id "
                "where name = ? and parent > 0", [name.encode()])
            layers = db.execute("select version from inode where substr(value, 2, 1) = x'08' order by id")
            version = ([base] + [row[0] for row in layers])[int(number)]
            # What servers keep of it for a while would stand in.
            db.execute("delete from escrow where version = ?", [version])
            if who == "one" and struck: continue
            row = db.execute("select bytes from part where version = ? and part = 1", [version]).fetchone()
            hex = version.hex()
            file = os.path.join(os.path.dirname(path), "parts", hex[:2], hex + ".1")
            if row:
                if fault == "missing":
                    db.execute("delete from part where version = ? and part = 1", [version])
                else:
                    db.execute("update part set bytes = ? where version = ? and part = 1",
                        [damaged(row[0]), version])
            elif os.path.exists(file):
                with open(file, "rb") as f: data = f.read()
                os.remove(file)
                if fault != "missing":
                    with open(file, "wb") as f: f.write(damaged(data))
            else: continue
            struck.append(path[len(os.environ["DIR"]) + 1:].split("/")[0])
        db.close()
    assert len(struck) == (2 if who == "both" else 1), struck
    print(*struck)
    """
}
