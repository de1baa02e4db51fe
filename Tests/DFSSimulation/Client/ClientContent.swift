internal import DFSCore
internal import DFSTestSupport

/// What the programs of a world write: cells, each of which says who wrote it. No two contents are the same.
enum ClientContent {
  /// A size whose parts travel with the change, and one whose parts have two blocks.
  static let smallBytes = 4 * CellVector.unit(isLarge: false)
  static let largeBytes = 4 * CellVector.unit(isLarge: true)

  /// What a publish of this token writes: four cells.
  static func bytes(_ token: UInt64, count: Int) -> [UInt8] {
    (0..<4).flatMap { cell(token, $0, count: count / 4) }
  }

  /// The bytes of a cell.
  static func cell(_ token: UInt64, _ index: Int, count: Int, isStriped: Bool = false) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: token), count: count)
    for (place, byte) in (token << 8 | UInt64(index)).bigEndianBytes.enumerated() {
      bytes[place] = byte
    }
    for stripe in isStriped ? stripes(count) : [] {
      for place in stripe { bytes[place] = 0 }
    }
    return bytes
  }

  /// The zeros within a cell, which are so many that they do not fit a row as extents.
  static func stripes(_ count: Int) -> [Range<Int>] {
    let step = 4
    return stride(from: 8 + step / 2, to: min(count - 1, 8 + step * 130), by: step).map {
      $0..<min(count - 1, $0 + step / 2)
    }
  }

  /// The token of a cell with these bytes; 0 for zeros, nil if nobody wrote it.
  static func token(of bytes: ArraySlice<UInt8>, _ index: Int) -> UInt64? {
    if bytes.allSatisfy({ $0 == 0 }) { return 0 }
    let token = UInt64(bigEndian: Array(bytes.prefix(8))) >> 8
    let isWritten = [false, true].contains { isStriped in
      cell(token, index, count: bytes.count, isStriped: isStriped)[...] == bytes
    }
    return token > 0 && isWritten ? token : nil
  }
}

/// A content as the programs of a world see it: for each cell the token of who wrote it, 0 for zeros.
///
/// Six cells are next to each other; the one after a hole of zeros makes a file sparse.
struct CellVector: Hashable, Sendable {
  /// Cells before the hole.
  static let near = 6
  /// With the hole, and the cell behind it.
  static let all = 8
  /// So many zeros are not stored when a file is settled.
  private static let hole = 1 << 20

  let isLarge: Bool
  var cells: [UInt64]

  init(isLarge: Bool, cells: [UInt64]) { (self.isLarge, self.cells) = (isLarge, cells) }

  /// Nil if nobody wrote these bytes.
  init?(_ bytes: [UInt8]) {
    guard let (isLarge, count) = Self.shape(size: UInt64(bytes.count)) else { return nil }
    self.isLarge = isLarge
    cells = []
    for index in 0..<count {
      guard let token = ClientContent.token(of: bytes[Self.range(index, isLarge)], index) else {
        return nil
      }
      cells.append(token)
    }
  }

  /// Bytes of a cell.
  static func unit(isLarge: Bool) -> Int { isLarge ? Limits.blockBytes + 16 : 16 }

  static func range(_ index: Int, _ isLarge: Bool) -> Range<Int> {
    let unit = unit(isLarge: isLarge)
    let hole = near * unit..<near * unit + Self.hole
    return switch index {
    case ..<near: index * unit..<(index + 1) * unit
    case near: hole
    default: hole.upperBound..<hole.upperBound + unit
    }
  }

  /// Bytes of so many cells.
  static func size(_ count: Int, _ isLarge: Bool) -> UInt64 {
    count == 0 ? 0 : UInt64(range(count - 1, isLarge).upperBound)
  }

  /// What is so large; nil if nothing is.
  static func shape(size: UInt64) -> (isLarge: Bool, count: Int)? {
    for isLarge in [false, true] {
      for count in 1...all where self.size(count, isLarge) == size { return (isLarge, count) }
    }
    return nil
  }
}

/// What one operation writes over a version: the same for the same token and size.
struct CellPatch: Sendable {
  let token: UInt64
  let isLarge: Bool
  /// Ascending.
  private(set) var written: [Int] = []
  private(set) var zeros: [Int] = []
  /// What is below shows up to this cell.
  let cut: Int
  let count: Int
  private let isStriped: Bool

  /// - Parameter size: of the version below; nil if there is none.
  init(_ token: UInt64, over size: UInt64?) {
    var random = SplitMix64(seed: token &* 0x2545_f491_4f6c_dd1d)
    let shape = size.flatMap(CellVector.shape(size:)) ?? (isLarge: random.chance(50), count: 0)
    let below = shape.count
    (self.token, isLarge) = (token, shape.isLarge)
    isStriped = isLarge && random.chance(20)
    let (near, all) = (CellVector.near, CellVector.all)
    switch random.below(100) {
    case ..<60 where below > 0: (cut, count) = (below, below)
    case ..<75 where below < near: (cut, count) = (below, below + 1 + random.below(near - below))
    case ..<80: (cut, count) = (below, all)
    default:
      cut = random.below(min(below, near))
      count = max(1, cut + random.below(near - cut + 1))
    }
    for index in 0..<count where index != near {
      switch random.below(100) {
      case ..<35: written.append(index)
      case ..<45: zeros.append(index)
      default: break
      }
    }
    if written.isEmpty {
      let last = count - 1
      zeros.removeAll { $0 == last }
      written = [last]
    }
  }

  var size: UInt64 { CellVector.size(count, isLarge) }
  var cutBytes: UInt64 { CellVector.size(cut, isLarge) }

  func applied(to below: CellVector?) -> CellVector {
    CellVector(
      isLarge: isLarge,
      cells: (0..<count).map { index in
        if written.contains(index) { return token }
        guard index < cut, !zeros.contains(index), let below, below.cells.indices.contains(index)
        else { return 0 }
        return below.cells[index]
      })
  }

  /// The bytes of the extents that are no zeros.
  var bytes: [UInt8] {
    written.flatMap { index in
      let all = cell(index)
      return ranges(index).filter { !$0.isZeros }.flatMap { all[$0.range] }
    }
  }

  var extents: [LayerExtent] {
    (written + zeros).sorted().flatMap { index -> [LayerExtent] in
      let range = CellVector.range(index, isLarge)
      guard written.contains(index) else {
        return [LayerExtent(UInt64(range.lowerBound)..<UInt64(range.upperBound), isZeros: true)]
      }
      return ranges(index).map {
        LayerExtent(
          UInt64(
            range.lowerBound + $0.range.lowerBound)..<UInt64(
              range.lowerBound + $0.range.upperBound), isZeros: $0.isZeros)
      }
    }.joinedForIndex
  }

  private func cell(_ index: Int) -> [UInt8] {
    ClientContent.cell(
      token, index, count: CellVector.unit(isLarge: isLarge), isStriped: isStriped)
  }

  /// What a written cell consists of.
  private func ranges(_ index: Int) -> [(range: Range<Int>, isZeros: Bool)] {
    let unit = CellVector.unit(isLarge: isLarge)
    guard isStriped else { return [(0..<unit, false)] }
    var (done, ranges): (Int, [(range: Range<Int>, isZeros: Bool)]) = (0, [])
    for stripe in ClientContent.stripes(unit) {
      ranges += [(done..<stripe.lowerBound, false), (stripe, true)]
      done = stripe.upperBound
    }
    return ranges + [(done..<unit, false)]
  }
}

extension [LayerExtent] {
  /// Those of one kind that touch are one.
  fileprivate var joinedForIndex: [LayerExtent] {
    reduce(into: []) { joined, extent in
      if let last = joined.last, last.range.upperBound == extent.range.lowerBound,
        last.isZeros == extent.isZeros
      {
        joined[joined.count - 1] = LayerExtent(
          last.range.lowerBound..<extent.range.upperBound, isZeros: last.isZeros)
      } else {
        joined.append(extent)
      }
    }
  }
}
