internal import DFSCore
internal import DFSWire
internal import NIOCore
internal import Synchronization

/// How much of one connection may be under way: a pure account of requests and bytes.
///
/// Invariant: one request is always admitted, however large, so that nothing can starve, unless the
/// user has so much under way that the user waits for himself; the bounds on frames bound that one.
struct Window {
  private let requestsBound: Int
  private let bytesBound: Int
  private let all: BytesInUse
  /// Nil before the login.
  var user: UserLoad?
  private(set) var requests = 0
  private(set) var bytes = 0

  init(requests: Int, bytes: Int, all: BytesInUse) {
    requestsBound = requests
    bytesBound = bytes
    self.all = all
  }

  /// - Parameter reserve: what it may come to take until its answer is known; nil: not more than the
  ///   weight.
  func admits(_ weight: Int, reserve: Int? = nil) -> Bool {
    guard user?.admits(reserve ?? weight) ?? true else { return false }
    return requests == 0
      || requests < requestsBound && bytes + weight <= bytesBound && all.admits(weight)
  }

  mutating func begin(_ weight: Int, reserve: Int? = nil) {
    requests += 1
    bytes += weight
    all.add(weight)
    user?.add(reserve ?? weight)
  }

  /// The answer is known: from now on it counts as `actual`.
  mutating func settle(_ weight: Int, reserve: Int? = nil, to actual: Int) {
    bytes += actual - weight
    all.add(actual - weight)
    user?.add(actual - (reserve ?? weight))
  }

  mutating func end(_ weight: Int, reserve: Int? = nil) {
    requests -= 1
    bytes -= weight
    all.add(-weight)
    user?.add(-(reserve ?? weight))
  }
}

/// The bytes under way on all connections of a server.
final class BytesInUse: Sendable {
  private let bound: Int
  private let count = Atomic<Int>(0)

  init(bound: Int) { self.bound = bound }

  var bytes: Int { count.load(ordering: .relaxed) }
  func admits(_ weight: Int) -> Bool { bytes + weight <= bound }
  func add(_ weight: Int) { count.wrappingAdd(weight, ordering: .relaxed) }
}

extension Frame {
  /// About how many bytes the request takes, and its answer will take.
  var weight: Int {
    if case .large(_, let weight) = message { return weight + (body?.readableBytes ?? 0) }
    guard case .request(_, let request) = message else { return 256 }
    return 256 + (body?.readableBytes ?? 0) + request.weight
  }
}

extension Frame {
  /// What a request may come to take whose answer can be far larger than it looks; nil: its weight.
  var reserve: Int? {
    guard case .request(_, .query(let queries)) = message else { return nil }
    let mayBeLong = queries.contains { query in
      switch query {
      case .inode, .entry: false
      case .directory, .attributes, .everything, .substitutes: true
      }
    }
    // A row of an honest inode takes 4 KiB; that of a hostile one 64 KiB.
    let bytes = mayBeLong ? Limits.headerBytes : min(Limits.headerBytes, queries.count * 132 << 10)
    return max(weight, 3 * bytes)
  }
}

extension Reply {
  /// Whether it may be so long that it is not encoded on an event loop.
  var isLong: Bool {
    switch self {
    case .query(let answers, _): answers.contains { $0.rows.count > 16 } || answers.count > 16
    case .smallParts, .copies, .wanted, .health, .namespace(.log): true
    case .hello, .loginContinue, .loginDone, .done, .pong, .namespace, .part, .space, .failed: false
    }
  }
}

extension Request {
  fileprivate var weight: Int {
    switch self {
    case .namespace(let step, let parts, let held, _):
      step.weight + parts.reduce(0) { $0 + $1.bytes.count } + held.count * 32
    case .query(let queries): min(queries.count * 4096, Limits.answerBytes)
    case .refillRows(let rows): rows.reduce(0) { $0 + $1.value.bytes.count + 64 }
    case .refillChanges(let entries): entries.reduce(0) { $0 + $1.change.weight }
    case .getPart(_, let range): range.count + 2 * Limits.blockBytes
    case .getSmallParts(let parts): parts.count * (Limits.inlinePartBytes + 64)
    case .syncParts(let parts), .dropParts(let parts): parts.count * 32
    case .copies(let versions): versions.count * 256
    case .hold(let versions), .release(let versions): versions.count * 32
    case .wanted(_, let limit, _): limit * 64
    case .refillBegin(_, let own): (own?.without.count ?? 0) * 64
    case .hello, .loginBegin, .loginEnd, .ping, .refillEnd, .putPart, .space, .health,
      .scrub, .join:
      0
    }
  }
}

extension NamespaceRequest {
  fileprivate var weight: Int {
    switch self {
    case .install(_, _, let changes, _): changes.reduce(0) { $0 + $1.weight }
    case .apply(_, _, let change): change.weight
    case .log: 3 * Limits.answerBytes
    case .prepare, .head: 0
    }
  }
}

extension Change {
  fileprivate var weight: Int { writes.reduce(64) { $0 + 64 + ($1.value?.bytes.count ?? 0) } }
}
