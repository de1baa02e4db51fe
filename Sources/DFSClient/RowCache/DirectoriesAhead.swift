internal import DFSCore

/// Which directories are gone through name by name: `git status`, `rsync`, `make` and `tar` ask for one name
/// after the other. Where that is seen, the directory is asked for as a whole (Lustre's statahead does the same).
///
/// Pure decisions. Only names that are there count: who makes new ones needs nothing of the others.
struct DirectoriesAhead: Sendable {
  /// What to ask for where a name is asked for.
  enum Question: Sendable {
    /// Only the name.
    case name
    /// The whole directory, which may be of one page.
    case whole
    /// The name, and a page of those that follow it.
    case following
  }

  /// So many names of a directory were asked for one by one before the others are asked for too.
  static let lookups = 2
  /// Names that were asked for longer ago do not count.
  static let memory = Duration.seconds(1)
  static let directoriesLimit = 64

  private struct Seen {
    var last: ContinuousClock.Instant
    var name: FileName
    /// Names that were found, one after the other.
    var found = 0
    /// Names that came in their order, each after the one before.
    var ascending = 0
    /// It does not fit into one page: of such a one only what follows is asked for, and only in order.
    var isLarge = false
  }

  private var directories: [InodeID: Seen] = [:]

  /// How many directories are remembered.
  var count: Int { directories.count }

  /// A name is to be asked for, as it is not known.
  mutating func missed(
    _ directory: InodeID, _ name: FileName, at now: ContinuousClock.Instant
  ) -> Question {
    var seen = directories[directory] ?? Seen(last: now, name: name)
    if now - seen.last > Self.memory { (seen.found, seen.ascending) = (0, 0) }
    seen.ascending = seen.name < name ? seen.ascending + 1 : 0
    (seen.last, seen.name) = (now, name)
    let isGoneThrough =
      seen.found >= Self.lookups && (!seen.isLarge || seen.ascending >= Self.lookups)
    if isGoneThrough { seen.found = 0 }
    directories[directory] = seen
    shrink()
    guard isGoneThrough else { return .name }
    return seen.isLarge ? .following : .whole
  }

  /// - Parameter exists: whether a name that was missed is there.
  mutating func answered(_ directory: InodeID, exists: Bool) {
    guard var seen = directories[directory] else { return }
    seen.found = exists ? seen.found + 1 : 0
    directories[directory] = seen
  }

  /// The directory does not fit into one page.
  mutating func isLarge(_ directory: InodeID) { directories[directory]?.isLarge = true }

  private mutating func shrink() {
    guard directories.count > Self.directoriesLimit,
      let oldest = directories.min(by: { $0.value.last < $1.value.last })
    else { return }
    directories[oldest.key] = nil
  }
}
