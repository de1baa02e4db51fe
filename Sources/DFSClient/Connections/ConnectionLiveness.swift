internal import NIOCore

/// Whether the peer of a connection lives: it is asked when it has been quiet, is silent when it
/// leaves a question open for too long, and answers again when anything comes from it.
struct ConnectionLiveness {
  static let quietPeriod = TimeAmount.seconds(1)
  static let patience = TimeAmount.seconds(2)
  /// A peer that is silent for this long is connected to anew: its machine may have lost power.
  static let endOfPatience = TimeAmount.seconds(10)

  enum Action: Hashable { case nothing, ping, silent, close }

  private(set) var isSilent = false
  private var lastHeard: NIODeadline
  private var pinged: NIODeadline?

  init(now: NIODeadline) { lastHeard = now }

  /// Something came from the peer.
  /// - Returns: whether it had been silent.
  mutating func heard(now: NIODeadline) -> Bool {
    lastHeard = now
    pinged = nil
    defer { isSilent = false }
    return isSilent
  }

  /// - Parameter waitingSince: when the oldest open question was asked.
  mutating func tick(now: NIODeadline, waitingSince: NIODeadline?) -> Action {
    if let waitingSince {
      let silence = now - max(lastHeard, waitingSince)
      if silence >= Self.endOfPatience { return .close }
      if silence >= Self.patience, !isSilent {
        isSilent = true
        return .silent
      }
    }
    guard pinged == nil, now - lastHeard >= Self.quietPeriod else { return .nothing }
    pinged = now
    return .ping
  }
}
