internal import DFSCore
internal import DFSWire
internal import NIOCore
internal import Synchronization

/// How much of one connection may be under way: a pure account of requests and bytes.
///
/// Invariant: one request is always admitted, however large, so that nothing can starve, unless the
/// user has so much under way that the user waits for himself; the limits on frames limit that one.
struct Window {
  private let requestsLimit: Int
  private let bytesLimit: Int
  private let all: BytesInUse
  /// Nil before the login.
  var user: UserLoad?
  private(set) var requests = 0
  private(set) var bytes = 0

  init(requests: Int, bytes: Int, all: BytesInUse) {
    requestsLimit = requests
    bytesLimit = bytes
    self.all = all
  }

  /// - Parameter reserve: what it may come to take until its answer is known; nil: not more than the
  ///   weight.
  func admits(_ weight: Int, reserve: Int? = nil) -> Bool {
    guard user?.admits(reserve ?? weight) ?? true else { return false }
    return requests == 0
      || requests < requestsLimit && bytes + weight <= bytesLimit && all.admits(weight)
  }

  mutating func begin(_ weight: Int, reserve: Int? = nil) {
    requests += 1
    bytes += weight
    all.add(weight)
    user?.add(reserve ?? weight)
  }

  /// The answer is known: from now on it counts as `actual`.
  mutating func correct(_ weight: Int, reserve: Int? = nil, to actual: Int) {
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
  private let limit: Int
  private let count = Atomic<Int>(0)

  init(limit: Int) { self.limit = limit }

  var bytes: Int { count.load(ordering: .relaxed) }
  func admits(_ weight: Int) -> Bool { bytes + weight <= limit }
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
    guard case .request(_, let request) = message else { return nil }
    return request.reserve.map { max(weight, $0) }
  }
}
