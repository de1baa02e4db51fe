public import DFSCore

/// What the servers that are up tell of a user's copies, and what follows from it for the files.
public struct ClusterHealth: Hashable, Sendable {
  /// Files by what is left of them.
  public struct Files: Hashable, Sendable {
    /// Each part has two good copies.
    public var complete: UInt64 = 0
    /// Each part has a good copy, some have only one.
    public var reduced: UInt64 = 0
    /// Some part has no good copy on the servers that are up.
    public var incomplete: UInt64 = 0

    /// All files that have a content.
    public var count: UInt64 { complete + reduced + incomplete }
  }

  /// Files that were changed in place, and are not one content yet.
  public struct Unsettled: Hashable, Sendable {
    /// Files.
    public private(set) var files: UInt64 = 0
    /// Layers of all of them.
    public private(set) var layers: UInt64 = 0
    /// Bytes of the layers, copies not counted.
    public private(set) var bytes: UInt64 = 0
    /// Contents that they have beside one for each.
    fileprivate var more: UInt64 = 0

    /// None.
    public init() {}

    mutating func add(_ version: Version) {
      files += 1
      layers += UInt64(version.layers.count)
      bytes += version.layers.reduce(0) { $0 + $1.content.size }
      more += UInt64(max(1, version.contents.count) - 1)
    }
  }

  /// What is not settled.
  public var unsettled = Unsettled()
  /// What each server that is up told; nothing of the others.
  public var reports: [ServerIndex: HealthReport]
  /// What each server lacks, as far as it was asked.
  public var missing: [ServerIndex: [MissingCopy]]
  /// Whether the servers lack more than `missing` names: then `files` is too hopeful.
  public var isPartial: Bool

  /// Health from what servers told; without arguments none told anything.
  public init(
    reports: [ServerIndex: HealthReport] = [:], missing: [ServerIndex: [MissingCopy]] = [:],
    isPartial: Bool = false
  ) {
    self.reports = reports
    self.missing = missing
    self.isPartial = isPartial
  }

  /// Servers that have not got the last changes yet: what they lack of those is not known.
  public var lagging: ServerSet {
    guard let newest = reports.values.map(\.head).max(by: <) else { return [] }
    return ServerSet(reports.filter { $0.value.head < newest }.keys)
  }

  private enum State { case complete, reduced, incomplete }

  /// A part counts as it is placed, though it have no bytes.
  public var files: Files {
    guard let newest = reports.values.max(by: { $0.head < $1.head }) else { return Files() }
    var files = Files()
    for (copies, count) in newest.placements {
      add(count, to: &files, state(of: Self.placement(copies)))
    }
    var lacking: [VersionID: (content: RowContent, lost: [PartIndex: ServerSet])] = [:]
    for (server, copies) in missing {
      for copy in copies {
        lacking[copy.id.version, default: (copy.content, [:])].lost[copy.id.part, default: []]
          .insert(server)
      }
    }
    for (content, lost) in lacking.values {
      // It was counted above as if nothing were lost.
      take(from: &files, state(of: content.placement))
      add(1, to: &files, state(of: content.placement, lost))
    }
    // Servers count each content as a file.
    files.complete -= min(files.complete, unsettled.more)
    return files
  }

  /// Files of which some server holds copies in the place of another.
  public var substitutes: UInt64 {
    guard let newest = reports.values.max(by: { $0.head < $1.head }) else { return 0 }
    return newest.placements.filter { UInt16(truncatingIfNeeded: $0.key) != UInt16($0.key >> 16) }
      .values.reduce(0, +)
  }

  private static func placement(_ copies: UInt32) -> Placement {
    Placement(packed: UInt16(truncatingIfNeeded: copies))
  }

  private func state(of placement: Placement, _ lost: [PartIndex: ServerSet] = [:]) -> State {
    let up = ServerSet(reports.keys)
    let counts = PartIndex.all.map { part in
      placement.holders(of: part).intersection(up).subtracting(lost[part] ?? []).count
    }
    if counts.contains(0) { return .incomplete }
    return counts.contains(1) ? .reduced : .complete
  }

  private func add(_ count: UInt64, to files: inout Files, _ state: State) {
    switch state {
    case .complete: files.complete += count
    case .reduced: files.reduced += count
    case .incomplete: files.incomplete += count
    }
  }

  private func take(from files: inout Files, _ state: State) {
    switch state {
    case .complete: files.complete -= min(1, files.complete)
    case .reduced: files.reduced -= min(1, files.reduced)
    case .incomplete: files.incomplete -= min(1, files.incomplete)
    }
  }
}
