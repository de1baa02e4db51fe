internal import DFSCore

/// What no honest server can say, whoever decoded it: nothing is calculated with it.
extension NamespaceReply {
  /// Whether its numbers are some that an honest server can have: the next one is one, too. (What comes from
  /// a server is within `Limits.number` once it is decoded; here nothing is calculated with the last.)
  var isWithinLimits: Bool {
    switch self {
    case .promised(let head), .installed(let head), .applied(let head), .behind(let head),
      .head(let head), .foreign(let head):
      head.isWithinLimits
    case .refused(let view): view.round < Limits.number
    case .log(_, let entries, let head):
      head.isWithinLimits && entries.allSatisfy { $0.number < Limits.number }
    case .missingParts: true
    }
  }
}

extension Head {
  fileprivate var isWithinLimits: Bool {
    number < Limits.number && view.round < Limits.number
  }
}
