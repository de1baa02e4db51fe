internal import DFSCore
internal import NIOCore

/// The requests of one connection: those that wait to be written and those that wait for their
/// answer.
///
/// Invariants:
/// - Requests are written in the order in which they came.
/// - The bytes of what was written and is not answered stay within `windowBytes`, but for a single
///   request that is larger. This limits what the peer and the kernel hold of ours.
/// - A request that was written and given up keeps its place in the window until it is answered.
struct ConnectionRequests<Waiter> {
  private struct Entry {
    let bytes: Int
    let deadline: NIODeadline
    /// Nil while it waits to be written.
    var written: NIODeadline?
    /// Nil once nobody waits any more.
    var waiter: Waiter?
  }

  let windowBytes: Int
  private var entries: [UInt64: Entry] = [:]
  private var queue = CircularBuffer<UInt64>()
  private var bytesOnTheWay = 0

  init(windowBytes: Int) { self.windowBytes = windowBytes }

  var isEmpty: Bool { entries.isEmpty }

  /// - Parameter bytes: how much the request and its answer weigh.
  mutating func submit(id: UInt64, bytes: Int, deadline: NIODeadline, _ waiter: Waiter) {
    entries[id] = Entry(bytes: bytes, deadline: deadline, waiter: waiter)
    queue.append(id)
  }

  /// The next request that may be written now; it counts as written at `now`.
  mutating func takeNext(now: NIODeadline) -> (id: UInt64, waiter: Waiter)? {
    while let id = queue.first {
      guard let entry = entries[id], let waiter = entry.waiter else {
        queue.removeFirst()
        continue
      }
      guard bytesOnTheWay == 0 || bytesOnTheWay + entry.bytes <= windowBytes else { return nil }
      queue.removeFirst()
      bytesOnTheWay += entry.bytes
      entries[id]?.written = now
      return (id, waiter)
    }
    return nil
  }

  mutating func answered(id: UInt64) -> AnswerOutcome<Waiter> {
    guard let entry = entries[id], entry.written != nil else { return .unknown }
    entries[id] = nil
    bytesOnTheWay -= entry.bytes
    return entry.waiter.map { .deliver($0) } ?? .ignore
  }

  /// The request was cancelled, or could not be encoded.
  mutating func giveUp(id: UInt64) -> Waiter? {
    guard let entry = entries[id] else { return nil }
    if entry.written == nil { entries[id] = nil } else { entries[id]?.waiter = nil }
    return entry.waiter
  }

  /// A request that was taken, but not written after all.
  mutating func notWritten(id: UInt64) -> Waiter? {
    if case .deliver(let waiter) = answered(id: id) { waiter } else { nil }
  }

  /// Gives up what is over its deadline.
  mutating func expire(now: NIODeadline) -> [Waiter] {
    entries.filter { $0.value.deadline <= now }.keys.compactMap { giveUp(id: $0) }
  }

  /// Gives up everything; what was written still counts until it is answered.
  mutating func giveUpAll() -> [Waiter] { Array(entries.keys).compactMap { giveUp(id: $0) } }

  /// When the oldest request that is not answered was written.
  var waitingSince: NIODeadline? { entries.values.compactMap(\.written).min() }
}

/// What is to be done with an answer that came in.
enum AnswerOutcome<Waiter> {
  case deliver(Waiter)
  /// Nobody waits for it any more.
  case ignore
  /// No such request was written.
  case unknown
}

extension AnswerOutcome: Equatable where Waiter: Equatable {}
