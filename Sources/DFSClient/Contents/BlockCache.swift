internal import DFSCore
internal import NIOCore

/// A block of a part.
struct BlockID: Hashable, Sendable {
  let part: PartID
  let index: Int
}

/// Blocks that were read and verified, the least recently used leaving first.
///
/// Invariant: the blocks together have at most `bytesLimit` bytes, what each takes besides counted.
struct BlockCache {
  /// About what a block takes besides its bytes, with the room that tables keep for more: most of it,
  /// where files are small.
  static let entryBytes = 512

  private struct Entry {
    let block: [UInt8]
    var stamp: UInt64
  }

  let bytesLimit: Int
  private(set) var bytes = 0
  private var entries: [BlockID: Entry] = [:]
  /// Every use, oldest first; those that are not the last use of their block are void.
  private var uses = CircularBuffer<(id: BlockID, stamp: UInt64)>()
  private var clock: UInt64 = 0

  init(bytesLimit: Int) { self.bytesLimit = bytesLimit }

  var count: Int { entries.count }

  func contains(_ id: BlockID) -> Bool { entries[id] != nil }

  mutating func block(_ id: BlockID) -> [UInt8]? {
    guard let entry = entries[id] else { return nil }
    let stamp = used(id)
    entries[id]?.stamp = stamp
    forgetVoidUses()
    return entry.block
  }

  mutating func insert(_ id: BlockID, _ block: [UInt8]) {
    let weight = block.count + Self.entryBytes
    guard weight <= bytesLimit, entries[id] == nil else { return }
    entries[id] = Entry(block: block, stamp: used(id))
    bytes += weight
    while bytes > bytesLimit, let use = uses.popFirst() {
      guard let entry = entries[use.id], entry.stamp == use.stamp else { continue }
      entries[use.id] = nil
      bytes -= entry.block.count + Self.entryBytes
    }
    forgetVoidUses()
  }

  private mutating func used(_ id: BlockID) -> UInt64 {
    clock += 1
    uses.append((id, clock))
    return clock
  }

  /// Keeps the list of uses in proportion to the blocks.
  private mutating func forgetVoidUses() {
    guard uses.count > 2 * entries.count + 64 else { return }
    let entries = entries
    uses.removeAll { entries[$0.id]?.stamp != $0.stamp }
  }
}
