internal import DFSCore
internal import DFSReplication

/// What a server's database says of its copies: the tables of CopyTables, in memory, changed by
/// `CopyDuty` in the same order of steps.
struct SimulatedCopies {
  /// Copies that an inode asks for and that are not here, or damaged.
  var wanted: [PartID: InodeID] = [:]
  /// Copies that nobody asks for any more.
  var garbage: [PartID: CopyRelease] = [:]
  /// Small copies, which are kept in the database; false for damaged ones.
  var small: [PartID: Bool] = [:]

  /// After an inode's content became another, by change `number`.
  mutating func changed(
    _ inode: InodeID, _ difference: CopyDuty.Difference, number: UInt64, now: Int,
    isAsked: (PartID) -> Bool, isHere: (PartID) -> Bool
  ) {
    for id in difference.added {
      garbage[id] = nil
      if !isHere(id), small[id] == nil { want(id, for: inode) }
    }
    for id in difference.dropped where !isAsked(id) {
      wanted[id] = nil
      if garbage[id] == nil {
        garbage[id] = CopyRelease(number: number, sinceSeconds: Int64(now))
      }
    }
  }

  mutating func want(_ id: PartID, for inode: InodeID) {
    if wanted[id] == nil { wanted[id] = inode }
  }
}

/// A copy as a file. What its bytes are is told by what it is a copy of.
struct SimulatedFile {
  enum Damage { case none, flipped, unreadable }

  let content: PartID
  let completed: Int
  var isSynced: Bool
  var damage = Damage.none
}

extension PartID {
  var order: (UInt64, UInt64, Int) { (version.high, version.low, part.value) }
  var brief: String { "\(version.high)-\(version.low).\(part.number)" }
}

extension Sequence where Element == PartID {
  /// No dictionary's own order may decide anything: it differs from run to run.
  var inOrder: [PartID] { sorted { $0.order < $1.order } }
}
