import DFSCore

/// One client's way to one server.
struct RelayLink: Hashable, Sendable {
  let client: Int
  let server: ServerIndex
}

/// What the relay does with the bytes of a link.
enum RelayRule: Hashable, Sendable {
  case pass
  /// Resets the connections that are there and every new one.
  case close
  /// Holds bytes back; they go on when the rule ends.
  case stall(RelayDirections)
  /// Swallows bytes; when the rule ends, connections that lost some are reset.
  case drop(RelayDirections)

  func stalls(_ direction: RelayDirections) -> Bool {
    if case .stall(let set) = self { set.contains(direction) } else { false }
  }

  func drops(_ direction: RelayDirections) -> Bool {
    if case .drop(let set) = self { set.contains(direction) } else { false }
  }
}

struct RelayDirections: OptionSet, Hashable, Sendable {
  let rawValue: Int
  static let toServer = RelayDirections(rawValue: 1)
  static let toClient = RelayDirections(rawValue: 2)
  static let both: RelayDirections = [.toServer, .toClient]
}
