import DFSClient
import DFSCore
import Testing

@testable import DFSMount

@Suite struct DirectoryListingTests {
  private func listing(_ names: [FileName]) -> DirectoryListing {
    func inode(_ number: UInt64, _ kind: FileKind) -> Inode {
      Inode(
        id: InodeID(number), kind: kind, mode: 0o644, owner: 0, group: 0,
        time: Timestamp(nanoseconds: 0))
    }
    let directory = Attributes(inode(256, .directory))
    let entries = names.sorted().enumerated().map { index, name in
      DirectoryItem(name: name, inode: inode(UInt64(index) + 512, .regular))
    }
    return DirectoryListing(
      own: (directory, parent: directory), entries, of: InodeID(256),
      since: KernelCache.Mark(published: 0, changes: 0)
    ) { Attributes($0) }
  }

  /// Which are in handles and cookies that others keep: they must not change.
  @Test func placesOfNamesStay() throws {
    #expect(try FileName("a").listingPlace == 0x39b1_8cad_87a5_9300)
    #expect(try FileName("README.md").listingPlace == 0x2ec1_e0e9_1a08_7100)
  }

  @Test func itGoesOnAfterAnyPlaceWhateverElseIsThere() throws {
    let stable = try (0..<100).map { try FileName("stable \($0)") }
    let others = try (0..<100).map { try FileName("other \($0)") }
    let (before, after) = (listing(stable + others.prefix(50)), listing(stable + others.suffix(50)))
    #expect(before.items.map(\.place) == before.items.map(\.place).sorted())
    #expect(before.items[0].place == 1 && before.rest(after: 0).count == 152)
    #expect(before.rest(after: .max).isEmpty && before.rest(after: .min).count == 152)
    for item in before.items {
      let told = before.items.prefix { $0.place <= item.place } + after.rest(after: item.place)
      let names = told.compactMap(\.entry?.name).filter { stable.contains($0) }
      guard names.count == 100, Set(names).count == 100 else {
        Issue.record("\(names.count) of 100 entries after \(item.place)")
        return
      }
    }
  }

  @Test func recentListingsGrowOld() {
    let (recent, old) = (RecentListings(), listing([]))
    #expect(recent.listing(of: InodeID(256)) { _ in false } == nil)
    recent.note(old, of: InodeID(256))
    #expect(recent.listing(of: InodeID(256)) { _ in true } === old)
    for number in UInt64(1)...4 { recent.note(old, of: InodeID(number)) }
    #expect(recent.listing(of: InodeID(256)) { _ in false } == nil)
  }
}
