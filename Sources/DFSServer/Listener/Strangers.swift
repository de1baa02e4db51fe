internal import Glibc
internal import NIOCore

/// The places of connections that are not logged in: an account without I/O. Strangers take no
/// place of a user, and a newcomer always finds one: where a limit is reached, an older one goes.
///
/// Invariants:
/// - There are at most as many as the limits say, and one address has at most half of the places, so
///   that one address alone never drives out another.
/// - Of those that a limit is about, one whose password was wrong goes first (it waits for its answer
///   only), then the oldest.
struct Strangers {
  private struct Place {
    let address: String
    var name: String?
    var isWrong = false
  }

  private let limit: Int
  private var places: [SessionID: Place] = [:]
  private var addresses: [String: Int] = [:]
  private var names: [String: Int] = [:]

  /// - Parameter limit: places, at least 2.
  init(limit: Int) { self.limit = max(2, limit) }

  var count: Int { places.count }

  /// Attempts to log in under one name at the same time.
  private var nameLimit: Int { max(1, limit / 4) }

  /// A connection came.
  /// - Parameter address: of the peer, as `strangerAddress` tells it.
  /// - Returns: the connection that must go for it, which has no place any more.
  mutating func came(_ id: SessionID, from address: String) -> SessionID? {
    places[id] = Place(address: address)
    addresses[address, default: 0] += 1
    if addresses[address, default: 0] > limit / 2 {
      return dropOne(but: id) { $0.address == address }
    }
    return places.count > limit ? dropOne(but: id) : nil
  }

  /// It says whom it wants to log in.
  /// - Returns: as of `came`.
  mutating func named(_ id: SessionID, _ name: String) -> SessionID? {
    guard let place = places[id], place.name == nil else { return nil }
    places[id]?.name = name
    names[name, default: 0] += 1
    guard names[name, default: 0] > nameLimit else { return nil }
    return dropOne(but: id) { $0.name == name }
  }

  /// Its password was wrong; it waits for the answer.
  mutating func wasWrong(_ id: SessionID) { places[id]?.isWrong = true }

  /// It is logged in, or gone.
  mutating func left(_ id: SessionID) {
    guard let place = places.removeValue(forKey: id) else { return }
    Self.lessen(&addresses, place.address)
    if let name = place.name { Self.lessen(&names, name) }
  }

  /// Takes the place of the one that is missed the least, from the address that has the most.
  mutating func dropOne(but id: SessionID? = nil) -> SessionID? {
    dropOne(but: id) { _ in true }
  }

  private mutating func dropOne(
    but id: SessionID?, where isMeant: (Place) -> Bool
  ) -> SessionID? {
    let meant = places.filter { $0.key != id && isMeant($0.value) }
    var counts: [String: Int] = [:]
    for place in meant.values { counts[place.address, default: 0] += 1 }
    guard let most = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key else {
      return nil
    }
    let victim = meant.filter { $0.value.address == most }.min {
      ($0.value.isWrong ? 0 : 1, $0.key) < ($1.value.isWrong ? 0 : 1, $1.key)
    }
    if let victim { left(victim.key) }
    return victim?.key
  }

  private static func lessen(_ counts: inout [String: Int], _ key: String) {
    guard let count = counts[key] else { return }
    counts[key] = count > 1 ? count - 1 : nil
  }
}

extension SocketAddress {
  /// Whom a stranger counts as: an IPv4 address, or the 64 bits of an IPv6 address that name a
  /// network, since one machine has all the others (RFC 4291, section 2.5.1).
  var strangerAddress: String {
    guard let text = ipAddress else { return "local" }
    var bytes = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET6, text, &bytes) == 1 else { return text }
    let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10...11] == [0xff, 0xff]
    if isMapped { return bytes[12...].map(String.init).joined(separator: ".") }
    return bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":") + "/64"
  }
}
