import DFSTestSupport
import Foundation
import Synchronization

/// Stands before one server: records what passes, or, while it is turned hostile, makes the server look
/// so by changing its answers.
final class Relay: Sendable {
  struct Hostility: Sendable {
    let seed: UInt64
    /// Of a hundred answers after the login, and of a hundred before its end.
    let percent: Int
    let loginPercent: Int
    /// What other answers may be made of.
    let others: [RawFrame]
  }

  private struct State {
    var hostility: Hostility?
    var requests: [RawFrame] = []
    var answers: [RawFrame] = []
    /// Answers that came while it was hostile.
    var seen: UInt64 = 0
    var lines: [ObjectIdentifier: @Sendable () -> Void] = [:]
    /// Connections whose login is done.
    var ready = 0
    var isStopped = false
  }

  /// What several relays changed together.
  final class Tally: Sendable {
    private let count = Atomic<UInt64>(0)
    var changed: UInt64 { count.load(ordering: .relaxed) }
    func add() { count.wrappingAdd(1, ordering: .relaxed) }
  }

  /// Frames of each direction that are kept.
  private static let kept = 4000

  let port: Int
  private let listener: Int32
  private let target: Int
  /// Nil: this one records.
  private let tally: Tally?
  private let state = Mutex(State())

  init(to target: Int, tally: Tally? = nil) throws {
    self.target = target
    self.tally = tally
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = Line.loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 128) == 0
          ? getsockname(descriptor, $0, &length) : -1
      }
    }
    guard status == 0 else { throw FuzzFailure("the relay finds no free port") }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread { self.serve() }
  }

  var requests: [RawFrame] { state.withLock { $0.requests } }
  var answers: [RawFrame] { state.withLock { $0.answers } }

  /// Answers that came while it was hostile.
  var seen: UInt64 { state.withLock { $0.seen } }

  /// Whether a client is logged in through it.
  var isUsed: Bool { state.withLock { $0.ready > 0 } }

  /// Nil: nothing is changed any more.
  func turn(_ hostility: Hostility?) { state.withLock { $0.hostility = hostility } }

  func stop() {
    let ends = state.withLock { state in
      state.isStopped = true
      return Array(state.lines.values)
    }
    shutdown(listener, Int32(SHUT_RDWR))
    for end in ends { end() }
  }

  private func serve() {
    while true {
      let descriptor = accept(listener, nil, nil)
      guard descriptor >= 0 else {
        if state.withLock({ $0.isStopped }) { break }
        usleep(10_000)
        continue
      }
      guard let server = try? Line(port: target) else {
        close(descriptor)
        continue
      }
      let pair = Pair(client: Line(accepted: descriptor), server: server)
      state.withLock { $0.lines[ObjectIdentifier(pair)] = { [weak pair] in pair?.end() } }
      Thread.detachNewThread { self.pass(pair, toServer: true) }
      Thread.detachNewThread { self.pass(pair, toServer: false) }
    }
    close(listener)
  }

  // Each end is read by one thread and written by the other, and a socket allows both at once.
  private final class Pair: @unchecked Sendable {
    let client: Line
    let server: Line
    private let ended = Atomic(false)

    init(client: Line, server: Line) {
      self.client = client
      self.server = server
    }

    var isEnded: Bool { ended.load(ordering: .acquiring) }

    func end() {
      ended.store(true, ordering: .releasing)
      client.shutDown()
      server.shutDown()
    }
  }

  private func pass(_ pair: Pair, toServer: Bool) {
    let (from, to) = toServer ? (pair.client, pair.server) : (pair.server, pair.client)
    var waiting: [UInt8] = []
    var isLoggedIn = false
    passing: while !pair.isEnded {
      waiting += from.take()
      while let frame = RawFrame(from: &waiting) {
        let (bytes, isChanged) =
          toServer ? (note(frame), false) : answer(frame, &isLoggedIn)
        guard to.put(bytes) else { break passing }
        if isChanged { tally?.add() }
      }
      if from.isAtEnd { break }
    }
    pair.end()
    state.withLock { state in
      state.lines[ObjectIdentifier(pair)] = nil
      if isLoggedIn { state.ready -= 1 }
    }
  }

  private func note(_ frame: RawFrame) -> [UInt8] {
    if tally == nil {
      state.withLock { if $0.requests.count < Self.kept { $0.requests.append(frame) } }
    }
    return frame.encoded
  }

  /// - Returns: what is passed on, and whether that is another answer.
  private func answer(_ frame: RawFrame, _ isLoggedIn: inout Bool) -> ([UInt8], Bool) {
    let wasLoggedIn = isLoggedIn
    if frame.kind == 42 { isLoggedIn = true }
    let isNew = frame.kind == 42 && !wasLoggedIn
    let chosen = state.withLock { state -> (Hostility, UInt64)? in
      if isNew { state.ready += 1 }
      guard let hostility = state.hostility else {
        if tally == nil, state.answers.count < Self.kept { state.answers.append(frame) }
        return nil
      }
      state.seen += 1
      return (hostility, state.seen)
    }
    let honest = frame.encoded
    guard let (hostility, number) = chosen else { return (honest, false) }
    var mutator = Mutator(seed: hostility.seed, number)
    let percent = wasLoggedIn ? hostility.percent : hostility.loginPercent
    guard mutator.random.chance(percent) else { return (honest, false) }
    // Most leave the connection as it is, or few would reach what comes after it was made.
    if mutator.random.chance(2) { return (mutator.broken(frame), true) }
    var changed =
      mutator.random.chance(80)
      ? mutator.plausible(frame, hostility.others) : mutator.mutated(frame, hostility.others)
    if mutator.random.chance(97) { changed.id = frame.id }
    let bytes = changed.encoded
    return (bytes, bytes != honest)
  }
}
