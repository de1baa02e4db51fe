internal import DFSCore
internal import DFSReplication

/// What a server's database says of its copies: the tables of CopyTables, in memory, changed by
/// `RequiredReplicas` in the same order of steps.
struct SimulatedCopies {
  /// Copies that an inode asks for and that are not here, or damaged.
  var missing: [PartID: InodeID] = [:]
  /// Copies that nobody asks for any more.
  var unreferenced: [PartID: CopyRelease] = [:]
  /// Small copies, which are kept in the database; false for damaged ones.
  var small: [PartID: Bool] = [:]
  /// Small copies that came with a change for other servers.
  var retained: [PartID: SimulatedRetained] = [:]

  /// After an inode's content became another, by change `number`.
  mutating func changed(
    _ inode: InodeID, _ difference: RequiredReplicas.Difference, number: UInt64, now: Int,
    isTransfer: Bool,
    asking: (PartID) -> InodeID?, isHere: (PartID) -> Bool
  ) {
    for id in difference.added {
      unreferenced[id] = nil
      if !isHere(id), small[id] == nil { want(id, for: inode) }
    }
    for id in difference.dropped {
      if let other = asking(id) {
        if missing[id] == inode { missing[id] = other }
        continue
      }
      missing[id] = nil
      if unreferenced[id] == nil {
        unreferenced[id] = CopyRelease(
          number: number, sinceSeconds: Int64(now), isTransferred: isTransfer)
      }
    }
  }

  mutating func want(_ id: PartID, for inode: InodeID) {
    if missing[id] == nil { missing[id] = inode }
  }
}

/// A small copy that is kept for others, until some time after the change is known to be committed.
struct SimulatedRetained {
  /// The number of the change; 0 once that is known to be committed.
  var number: UInt64
  var since: Int
}

/// A copy as a file, of two blocks at the most; its bytes are in `WorldContents`.
struct SimulatedFile {
  static let blocks = 0..<2

  let completed: Int
  var isSynced: Bool
  /// Whether the process that wrote it lives, and knows what it has to bring to stable storage.
  var isKnown = true
  /// Blocks that do not match their checksums.
  var badBlocks: Set<Int> = []
  /// Nothing of it can be read until then; for good at `.max`.
  var unreadableUntil = 0

  init(completed: Int, isSynced: Bool) {
    (self.completed, self.isSynced) = (completed, isSynced)
  }

  func isReadable(_ now: Int) -> Bool { unreadableUntil <= now }

  /// A disk that fails for a while does not make a copy bad.
  var isGood: Bool { badBlocks.isEmpty && unreadableUntil < .max }
}

extension VersionID {
  var brief: String { "\(high & 0xffff)-\(low & 0xffff)" }
}

extension PartID {
  var order: (UInt64, UInt64, Int) { (version.high, version.low, part.value) }
  var brief: String { "\(version.brief).\(part.number)" }
}

extension Sequence where Element == PartID {
  /// No dictionary's own order may decide anything: it differs from run to run.
  var inOrder: [PartID] { sorted { $0.order < $1.order } }
}
