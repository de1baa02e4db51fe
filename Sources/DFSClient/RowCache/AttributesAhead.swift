internal import DFSCore

/// Whose extended attributes will be asked for next: `ls -l` asks for those of every file, in the order
/// of the listing, one after the other, and `rm -r` removes them with their files.
///
/// Invariant: only inodes that follow, in the directory that was listed last, one that was asked for.
struct AttributesAhead: Sendable {
  /// Of one question.
  static let limit = 256
  /// A directory of which more is not remembered.
  static let remembered = 1 << 18

  /// In what order the names of a directory are gone through.
  enum Order: Sendable {
    /// As a mount lists them: by `FileName.listingPlace`.
    case listing
    /// As who sorts them.
    case names
  }

  private var listing: [(place: UInt64, id: InodeID)] = []
  /// It is put in order when it is needed first: most listings are all that is asked for.
  private var isOrdered = true
  /// Where the next one is expected.
  private var next = 0
  private var count = 0

  /// - Parameter items: all of a directory, by their names.
  mutating func listed(_ items: [DirectoryItem], in order: Order) {
    (next, count) = (0, 0)
    isOrdered = order == .names
    guard items.count <= Self.remembered else { return listing = [] }
    listing = items.enumerated().map { index, item in
      (order == .names ? UInt64(index) : item.name.listingPlace, item.inode.id)
    }
  }

  /// - Parameter id: is asked for, as it is not known.
  /// - Returns: what to ask for with it: where it is the one that was expected, those that follow, one
  ///   at first and then more each time; else nothing.
  mutating func missed(_ id: InodeID) -> [InodeID] {
    if !isOrdered { listing.sort { $0.place < $1.place } }
    isOrdered = true
    let near = listing[next...].prefix(Self.limit)
    if let index = near.firstIndex(where: { $0.id == id }) {
      count = min(Self.limit, max(1, count * 4))
      next = min(index + 1 + count, listing.count)
      return listing[index + 1..<next].map(\.id)
    }
    count = 0
    next = listing.firstIndex { $0.id == id }.map { $0 + 1 } ?? 0
    return []
  }
}
