internal import DFSClient
internal import DFSCore
internal import Synchronization

/// A directory as it was when it was read from the front, in the order in which it is told.
///
/// Each entry has a place that follows from its name alone (`FileName.listingPlace`), on every mount and at any
/// time: who goes on after a place, on whatever handle, is told each entry once that was there throughout,
/// whatever was made and removed meanwhile. Of names with the same place, which 54 bits make rare, those that
/// follow have the next ones; only they move if the first is removed.
final class DirectoryListing: Sendable {
  let items: [DirectoryPage.Item]
  /// When the directory was read.
  let mark: KernelCache.Mark
  let time = ContinuousClock.now

  /// - Parameters:
  ///   - own: for `.` and `..`, which come first.
  ///   - entries: by their names.
  init(
    own: (Attributes, parent: Attributes), _ entries: [DirectoryItem], of directory: InodeID,
    since mark: KernelCache.Mark, attributes: (Inode) -> Attributes
  ) {
    self.mark = mark
    let dot = UInt8(ascii: ".")
    var items = [
      DirectoryPage.Item(name: [dot], attributes: own.0, entry: nil, place: 1),
      DirectoryPage.Item(name: [dot, dot], attributes: own.parent, entry: nil, place: 2),
    ]
    items.reserveCapacity(entries.count + 2)
    let places = entries.indices.map { (place: entries[$0].name.listingPlace, index: $0) }
    for (place, index) in places.sorted(by: <) {
      let item = entries[index]
      // At most 2⁶² and as many as there are entries.
      let place = max(items[items.count - 1].place + 1, Int(place))
      items.append(
        DirectoryPage.Item(
          name: item.name.bytes, attributes: attributes(item.inode),
          entry: NodeName(parent: directory, name: item.name), place: place))
    }
    self.items = items
  }

  /// The items after a place; from the front for 0.
  func rest(after place: Int) -> ArraySlice<DirectoryPage.Item> {
    var (low, high) = (0, items.count)
    while low < high {
      let middle = (low + high) / 2
      if items[middle].place <= place { low = middle + 1 } else { high = middle }
    }
    return items[low...]
  }
}

/// The directories that were read last: an NFS server opens one anew for each page that it tells, and
/// goes on after a place.
final class RecentListings: Sendable {
  private static let count = 4
  /// Larger ones are not kept.
  private static let itemsLimit = 1 << 16
  /// So long may one be told that is not of the present any more.
  private static let age = Duration.seconds(1)
  /// So long is one kept.
  private static let memory = Duration.seconds(10)

  private struct State {
    /// The last one at the end.
    var kept: [(directory: InodeID, listing: DirectoryListing)] = []
    var isCleaned = false
  }

  private let state = Mutex(State())

  func note(_ listing: DirectoryListing, of directory: InodeID) {
    guard listing.items.count <= Self.itemsLimit else { return }
    let startsCleaning = state.withLock { state in
      state.kept.removeAll { $0.directory == directory }
      state.kept.append((directory, listing))
      if state.kept.count > Self.count { state.kept.removeFirst() }
      defer { state.isCleaned = true }
      return !state.isCleaned
    }
    if startsCleaning { Task { await self.clean() } }
  }

  /// - Parameter isOld: whether anything has changed since then.
  func listing(of directory: InodeID, isOld: (KernelCache.Mark) -> Bool) -> DirectoryListing? {
    guard let found = state.withLock({ $0.kept.first { $0.directory == directory }?.listing })
    else { return nil }
    return found.time + Self.age > .now || !isOld(found.mark) ? found : nil
  }

  /// Until none is left.
  private func clean() async {
    repeat {
      try? await Task.sleep(for: Self.memory)
    } while state.withLock { state in
      state.kept.removeAll { $0.listing.time + Self.memory <= .now }
      state.isCleaned = !state.kept.isEmpty
      return state.isCleaned
    }
  }
}
