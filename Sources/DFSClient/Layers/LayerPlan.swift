internal import DFSCore

/// When layers are put together, and when a file is settled. Pure decisions.
///
/// Layers are merged in tiers of powers of eight, as a log-structured merge tree does it (O'Neil et al. 1996): each
/// byte is written again once a tier, and the layers are few in each.
enum LayerPlan {
  /// Layers of one tier that are merged.
  static let fan = 8
  /// Bytes of the largest layer of the lowest tier.
  private static let tierBytes: UInt64 = 4096

  /// With so many layers whoever publishes merges first, and waits.
  static let layersLimit = 96

  /// The tier of a layer, by its bytes.
  static func tier(_ bytes: UInt64, fan: Int = fan) -> Int {
    var (tier, limit) = (0, tierBytes)
    while bytes > limit, tier < 20 {
      tier += 1
      limit *= UInt64(fan)
    }
    return tier
  }

  /// The newest layers that are to be merged now: the lowest tier that is full, with all that is newer; with
  /// `layersLimit` of them all that are free.
  /// - Parameters:
  ///   - fan: so many of one tier, which are so many times as large as those of the one below.
  ///   - isFree: whether a layer may be merged.
  /// - Returns: their places, at least two; nil if no tier is full.
  static func run(
    of layers: [Layer], fan: Int = fan, _ isFree: (Layer) -> Bool
  ) -> Range<Int>? {
    let first = layers.lastIndex { !isFree($0) }.map { $0 + 1 } ?? 0
    let tiers = layers.map { tier($0.content.size, fan: fan) }
    for tier in Set(tiers[first...]).sorted() {
      var start = layers.count
      while start > first, tiers[start - 1] <= tier { start -= 1 }
      if tiers[start...].count(where: { $0 == tier }) >= fan { return start..<layers.count }
    }
    let isFull = layers.count >= layersLimit && layers.count - first > 1
    return isFull ? first..<layers.count : nil
  }

  /// Of a small version.
  static let shortestQuiet = Duration.seconds(10)

  /// A version is settled when it was not changed for so long: the longer the more it takes, so that a file that
  /// is changed each time it was just settled does not keep the servers busy.
  static func quiet(_ version: Version, atLeast least: Duration = shortestQuiet) -> Duration {
    let holes = version.size - min(version.size, version.storedBytes)
    // Holes are only hashed.
    let bytes = version.storedBytes + (holes > Version.hashedHoleBytes ? 0 : holes / 8)
    return max(least, .seconds(min(86_400, bytes >> 20)))
  }

  /// With longer indexes a version takes too much memory to be read. Bytes.
  private static let indexBytes: UInt64 = 4 << 20

  /// Whether the layers are so much that the version is settled at once, quiet or not.
  static func isHeavy(_ version: Version) -> Bool {
    let bottom = version.base?.size ?? version.layers.first?.content.size ?? 0
    let indexes = version.layers.reduce(0) { $0 + $1.dataStart }
    return version.storedBytes - bottom > max(64 << 20, bottom) || indexes > indexBytes
  }
}

extension VersionMap {
  /// Bytes that are no zeros.
  var dataBytes: UInt64 {
    segments.reduce(0) { $0 + ($1.source == nil ? 0 : UInt64($1.range.count)) }
  }
}

/// How soon layers are put together; worlds of tests, whose time is short, do it sooner.
package struct LayerPace: Sendable {
  /// As `LayerPlan.fan`.
  package var fan = LayerPlan.fan
  /// As `LayerPlan.shortestQuiet`.
  package var shortestQuiet = LayerPlan.shortestQuiet

  package init() {}
}
