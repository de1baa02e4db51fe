internal import DFSCore
internal import DFSSystem
internal import Logging
internal import NIOCore
internal import Synchronization

/// What reads learn about servers and copies: who is slow just now, and which copies are bad.
final class CopyWatch: Sendable {
  /// A server that was overtaken is asked last for so long.
  private static let slowPeriod = TimeAmount.seconds(2)
  private static let reportsLimit = 1000

  private struct Bad: Hashable {
    let id: PartID
    let server: ServerIndex
  }

  private struct State {
    var slowUntil: [ServerIndex: NIODeadline] = [:]
    var reported: Set<Bad> = []
    var observer: (@Sendable () -> Void)?
  }

  private let loop: any EventLoop
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameter loop: whose time it is.
  init(loop: any EventLoop, logger: Logger) { (self.loop, self.logger) = (loop, logger) }

  func isSlow(_ server: ServerIndex) -> Bool {
    state.withLock { $0.slowUntil[server].map { loop.now < $0 } ?? false }
  }

  func overtaken(_ server: ServerIndex) {
    state.withLock { $0.slowUntil[server] = loop.now + Self.slowPeriod }
  }

  func answered(_ server: ServerIndex) {
    state.withLock { _ = $0.slowUntil.removeValue(forKey: server) }
  }

  /// Sets who is told when a bad copy was met for the first time.
  func observe(_ observer: @escaping @Sendable () -> Void) {
    state.withLock { $0.observer = observer }
  }

  /// A copy could not be used; each is logged once.
  func bad(_ id: PartID, on server: ServerIndex, _ error: DFSError) {
    let isNews = state.withLock { state in
      if state.reported.count >= Self.reportsLimit { state.reported.removeAll() }
      return state.reported.insert(Bad(id: id, server: server)).inserted
    }
    if isNews {
      logger.warning("the copy of part \(id) on \(server) is bad: \(error)")
      state.withLock { $0.observer }?()
    }
  }
}
