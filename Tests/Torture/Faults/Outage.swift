import DFSCore
import DFSTestSupport

/// One way in which a server is out for a while, for all clients or for some.
enum Outage: String, CaseIterable, Sendable {
  case killed, frozen, closed, stalled, dropped

  /// For people, and the name under which it is counted.
  var title: String {
    switch self {
    case .killed: "server killed"
    case .frozen: "server frozen"
    case .closed: "connections closed"
    case .stalled: "connections stalled"
    case .dropped: "bytes dropped"
    }
  }
}

/// What happens to servers, one after the other, as the seed chooses.
struct OutagePlan: Sendable {
  struct Step: Sendable {
    enum Event: Sendable {
      case one(ServerIndex, Outage)
      case two(ServerIndex, Outage, ServerIndex, Outage)
      case allKilled
    }

    let pauseMilliseconds: Int
    let event: Event
    let lengthMilliseconds: Int
    let directions: RelayDirections
    /// Whose connections are meant; nil: everybody's.
    let client: Int?
  }

  private var random: SplitMix64
  private let clients: Int
  private let isGentle: Bool

  /// - Parameter isGentle: one server at most is out at a time.
  init(seed: UInt64, clients: Int, isGentle: Bool) {
    random = SplitMix64(seed: seed ^ 0x6f75_7461_6765)
    (self.clients, self.isGentle) = (clients, isGentle)
  }

  mutating func next() -> Step {
    Step(
      pauseMilliseconds: 100 + random.below(1500), event: event(),
      lengthMilliseconds: random.chance(80) ? 200 + random.below(1800) : 3000 + random.below(4000),
      directions: random.pick([.toServer, .toClient, .both]),
      client: random.chance(40) ? random.below(clients) : nil)
  }

  private mutating func event() -> Step.Event {
    let server = ServerIndex(random.below(4))
    let other = ServerIndex((server.value + 1 + random.below(3)) % 4)
    let (one, two) = (random.pick(Outage.allCases), random.pick(Outage.allCases))
    let draw = random.below(100)
    return switch isGentle ? 100 : draw {
    case 0..<6: .allKilled
    case 6..<16: .two(server, one, other, two)
    default: .one(server, one)
    }
  }
}
