/// Ranges in ascending order that do not overlap, as `RangeSet` has them.
extension RandomAccessCollection where Element == Range<UInt64>, Index == Int {
  /// What of them is within `bounds`, in their order; found by halving, whatever their number.
  public func parts(of bounds: Range<UInt64>) -> [Range<UInt64>] {
    guard !bounds.isEmpty else { return [] }
    var (low, high) = (startIndex, endIndex)
    while low < high {
      let middle = low + (high - low) / 2
      if self[middle].upperBound <= bounds.lowerBound { low = middle + 1 } else { high = middle }
    }
    var found: [Range<UInt64>] = []
    while low < endIndex, self[low].lowerBound < bounds.upperBound {
      found.append(self[low].clamped(to: bounds))
      low += 1
    }
    return found
  }

  /// Their lengths together.
  public var byteCount: UInt64 { reduce(0) { $0 + ($1.upperBound - $1.lowerBound) } }
}
