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

  private var listing: [InodeID] = []
  /// Where the next one is expected.
  private var next = 0
  private var count = 0

  /// - Parameter items: all of a directory, by their names.
  mutating func listed(_ items: [DirectoryItem], in order: Order) {
    (next, count) = (0, 0)
    guard items.count <= Self.remembered else { return listing = [] }
    switch order {
    case .names: listing = items.map(\.inode.id)
    case .listing:
      let places = items.map { (place: $0.name.listingPlace, id: $0.inode.id) }
      listing = places.sorted { $0.place < $1.place }.map(\.id)
    }
  }

  /// - Parameter id: is asked for, as it is not known.
  /// - Returns: what to ask for with it: where it is the one that was expected, those that follow, one
  ///   at first and then more each time; else nothing.
  mutating func missed(_ id: InodeID) -> ArraySlice<InodeID> {
    let near = listing[next...].prefix(Self.limit)
    if let index = near.firstIndex(of: id) {
      count = min(Self.limit, max(1, count * 4))
      next = min(index + 1 + count, listing.count)
      return listing[index + 1..<next]
    }
    count = 0
    next = listing.firstIndex(of: id).map { $0 + 1 } ?? 0
    return []
  }
}
