import DFSCore
import Testing

@testable import DFSClient

/// Whose extended attributes are asked for ahead.
@Suite struct AttributesAheadTests {
  private func items(_ count: Int) throws -> [DirectoryItem] {
    try (0..<count).map { number in
      DirectoryItem(
        name: try FileName("file \(1000 + number)"),
        inode: Inode(
          id: InodeID(UInt64(256 + number)), kind: .regular, mode: 0o644, owner: 0, group: 0,
          time: Timestamp(nanoseconds: 0)))
    }
  }

  /// Of who goes through a directory as a mount lists it, or by names, more is known each time.
  @Test(arguments: [AttributesAhead.Order.listing, .names])
  func itIsAskedForInOrder(_ order: AttributesAhead.Order) throws {
    let items = try items(500)
    let listed =
      order == .names ? items : items.sorted { $0.name.listingPlace < $1.name.listingPlace }
    var ahead = AttributesAhead()
    ahead.listed(items, in: order)
    var (known, questions): (Set<InodeID>, Int) = ([], 0)
    for id in listed.map(\.inode.id) where !known.contains(id) {
      questions += 1
      known.formUnion(ahead.missed(id))
    }
    #expect(questions < 10, "\(questions) questions for 500 files")
  }
}
