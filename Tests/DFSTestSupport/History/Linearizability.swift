/// Whether a history of some names can be told as one sequence of steps in which each takes place
/// between its begin and its end (Wing and Gong, "Testing and Verifying Concurrent Objects", 1993;
/// with the memory of Lowe, "Testing for Linearizability", 2017).
///
/// A step of unknown outcome may take place at any time after its begin, or never. Two things keep
/// the search short. An observation that is right where it may take place is taken there at once:
/// that never spoils a later choice. And every content is stored once (or by steps that are known),
/// so a place from which a content that is still to be seen cannot come back leads nowhere.
public struct Linearizability: Sendable {
  public enum Verdict: Hashable, Sendable {
    case linearizable
    /// No sequence explains this event and all that had to be before it.
    case violated(event: Int)
    /// The search was given up.
    case undecided
  }

  /// In the order of their begins.
  public let events: [NameEvent]
  private let names: Int
  private let limit: Int
  private let isObservation: [Bool]
  /// Events whose outcome is known, in the order of their ends.
  private let byEnd: [Int]
  private let unknown: [Int]
  /// For each content the events that store it and those that see it.
  private let stores: [Int: [Int]]
  private let sights: [Int: [Int]]

  /// - Parameter limit: places that the search may visit.
  public init(_ all: [NameEvent], names: Int, limit: Int = 200_000) {
    let events = all.filter { !($0.isUnknown && $0.isObservation) }
      .sorted { ($0.begin, $0.end) < ($1.begin, $1.end) }
    (self.events, self.names, self.limit) = (events, names, limit)
    isObservation = events.map(\.isObservation)
    byEnd = events.indices.filter { !events[$0].isUnknown }
      .sorted { events[$0].end < events[$1].end }
    unknown = events.indices.filter { events[$0].isUnknown }
    var (stores, sights) = ([Int: [Int]](), [Int: [Int]]())
    for (index, event) in events.enumerated() {
      if let content = event.storedContent { stores[content, default: []].append(index) }
      for content in event.seenContents { sights[content, default: []].append(index) }
    }
    (self.stores, self.sights) = (stores, sights)
  }

  /// Which events have taken place, and the state they left.
  private struct Place: Hashable {
    var taken: EventSet
    var state: NameState
    /// Known events that are taken.
    var count = 0
    /// All known events before these places, in the order of begins and of ends, are taken.
    var firstByBegin = 0
    var firstByEnd = 0

    static func == (one: Place, other: Place) -> Bool {
      one.taken == other.taken && one.state == other.state
    }

    func hash(into hasher: inout Hasher) {
      hasher.combine(taken)
      hasher.combine(state)
    }
  }

  public var verdict: Verdict {
    var first = Place(taken: EventSet(count: events.count), state: NameState(names: names))
    observe(&first)
    var visited: Set<Place> = [first]
    var open = [first]
    var farthest = first
    while let place = open.popLast() {
      if place.count == byEnd.count { return .linearizable }
      if place.count > farthest.count { farthest = place }
      guard visited.count < limit else { return .undecided }
      // The most promising last, where it is taken first.
      for index in candidates(place).reversed() {
        guard let next = taking(index, from: place), visited.insert(next).inserted else { continue }
        open.append(next)
      }
    }
    return .violated(event: farthest.firstByEnd < byEnd.count ? byEnd[farthest.firstByEnd] : 0)
  }

  private func taking(_ index: Int, from place: Place) -> Place? {
    let event = events[index]
    guard let state = place.state.after(event.step, event.answer) else { return nil }
    var next = place
    next.state = state
    take(index, &next)
    for content in place.state.contents where !state.contents.contains(content) {
      guard mayDisappear(content, next) else { return nil }
    }
    observe(&next)
    return next
  }

  private func take(_ index: Int, _ place: inout Place) {
    place.taken.insert(index)
    if !events[index].isUnknown { place.count += 1 }
    while place.firstByEnd < byEnd.count, place.taken.contains(byEnd[place.firstByEnd]) {
      place.firstByEnd += 1
    }
    while place.firstByBegin < events.count,
      events[place.firstByBegin].isUnknown || place.taken.contains(place.firstByBegin)
    {
      place.firstByBegin += 1
    }
  }

  /// Whether nobody is left to see a content, or somebody to store it again.
  private func mayDisappear(_ content: Int, _ place: Place) -> Bool {
    for sight in sights[content] ?? [] where !place.taken.contains(sight) {
      return (stores[content] ?? []).contains { !place.taken.contains($0) }
    }
    return true
  }

  /// Takes every observation that is right here.
  private func observe(_ place: inout Place) {
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      for index in eligible(place) where isObservation[index] {
        guard place.state.after(events[index].step, events[index].answer) != nil else { continue }
        take(index, &place)
        hasChanged = true
      }
    }
  }

  /// What may be next: what ends first comes first, what is unknown last.
  private func candidates(_ place: Place) -> [Int] {
    guard let last = firstEnd(place) else { return [] }
    let known = eligible(place).filter { !isObservation[$0] }.sorted {
      events[$0].end < events[$1].end
    }
    return known + unknown.filter { !place.taken.contains($0) && events[$0].begin <= last }
  }

  /// The known events that no other one had to precede.
  private func eligible(_ place: Place) -> [Int] {
    guard let last = firstEnd(place) else { return [] }
    var found: [Int] = []
    var index = place.firstByBegin
    while index < events.count, events[index].begin <= last {
      if !events[index].isUnknown, !place.taken.contains(index) { found.append(index) }
      index += 1
    }
    return found
  }

  /// The end of the event that ends before all others that have not taken place.
  private func firstEnd(_ place: Place) -> UInt64? {
    place.firstByEnd < byEnd.count ? events[byEnd[place.firstByEnd]].end : nil
  }
}

/// A set of numbers of events.
struct EventSet: Hashable, Sendable {
  private var words: [UInt64]

  init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

  func contains(_ index: Int) -> Bool { words[index >> 6] >> UInt64(index & 63) & 1 == 1 }
  mutating func insert(_ index: Int) { words[index >> 6] |= 1 << UInt64(index & 63) }
}
