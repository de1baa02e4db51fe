public import DFSCore

/// What is missing of a version, in ranges as long as possible.
public struct Gaps: Sendable {
  /// Consecutive bytes of one part of one content that no server gives.
  public struct Gap: Sendable {
    /// Bytes of the file.
    public fileprivate(set) var range: Range<UInt64>
    /// Why nobody gives them; of the first bytes, where it differs.
    public let lack: Salvage.Lack

    fileprivate func isContinued(by next: Gap) -> Bool {
      range.upperBound == next.range.lowerBound
        && (lack.place, lack.part) == (next.lack.place, next.lack.part)
        && lack.problems.mapValues(\.code) == next.lack.problems.mapValues(\.code)
    }
  }

  private var byPart: [[Gap]] = Array(repeating: [], count: Limits.partCount)

  /// No gaps, until `add` finds some.
  public init() {}

  /// In the order of the file.
  public var all: [Gap] {
    byPart.joined().reduce(into: []) { $0.add($1) }
  }
  /// Whether nothing is missing.
  public var isEmpty: Bool { byPart.allSatisfy(\.isEmpty) }
  /// The number of bytes that are missing.
  public var bytes: UInt64 { byPart.joined().reduce(0) { $0 + UInt64($1.range.count) } }

  /// Adds what is missing of the piece that these runs are; pieces of one part of the file come in order.
  public mutating func add(_ runs: [Salvage.Run], of part: PartIndex) {
    for run in runs {
      guard case .missing(let lack) = run.content else { continue }
      byPart[part.value].add(Gap(range: run.range, lack: lack))
    }
  }
}

extension [Gaps.Gap] {
  fileprivate mutating func add(_ gap: Gaps.Gap) {
    guard let last, last.isContinued(by: gap) else { return append(gap) }
    self[count - 1].range = last.range.lowerBound..<gap.range.upperBound
  }
}
