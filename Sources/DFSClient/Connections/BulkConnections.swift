internal import DFSCore
internal import NIOCore
internal import Synchronization

/// The connections to one server that carry parts: up to two, opened when they are needed, so that
/// small questions on the control connection never wait behind a megabyte.
final class BulkConnections: Sendable {
  enum Use: Sendable, Hashable {
    /// Whichever has less to do.
    case any
    /// The same connection for the same number: pieces of one part must arrive in order.
    case stream(UInt64)
  }

  static let count = 2

  private enum Slot {
    case empty
    case opening(Promise<Connection>)
    /// Opened by this opening.
    case open(Connection, Promise<Connection>)
  }

  private let settings: @Sendable () -> ConnectionSettings
  private let group: any EventLoopGroup
  private let slots = Mutex([Slot](repeating: .empty, count: BulkConnections.count))

  /// - Parameter settings: of a connection to be made now.
  init(settings: @escaping @Sendable () -> ConnectionSettings, group: any EventLoopGroup) {
    self.settings = settings
    self.group = group
  }

  var load: Int { slots.withLock { $0.reduce(0) { $0 + Self.load(of: $1) } } }

  func connection(_ use: Use) async throws(DFSError) -> Connection {
    enum Choice {
      case open(Connection)
      case wait(Promise<Connection>)
      case make(Int, Promise<Connection>)
    }
    let choice: Choice = slots.withLock { slots in
      let index = Self.index(for: use, in: slots)
      switch slots[index] {
      case .open(let connection, _): return .open(connection)
      case .opening(let opening): return .wait(opening)
      case .empty:
        let opening = Promise<Connection>()
        slots[index] = .opening(opening)
        return .make(index, opening)
      }
    }
    switch choice {
    case .open(let connection):
      connection.touch()
      return connection
    case .wait(let opening): return try await opening.value()
    case .make(let index, let opening):
      open(index, opening)
      return try await opening.value()
    }
  }

  /// Ends all; what is under way on them fails with `error`.
  func close(_ error: DFSError) {
    let old = slots.withLock { slots in
      defer { slots = Array(repeating: .empty, count: Self.count) }
      return slots
    }
    for slot in old {
      switch slot {
      case .empty: break
      case .opening(let opening): opening.fulfil(.failure(error))
      case .open(let connection, _): connection.close(error)
      }
    }
  }

  // MARK: Opening

  private func open(_ index: Int, _ opening: Promise<Connection>) {
    let loop = group.next()
    let made = loop.makePromise(of: Connection.self)
    Connection.open(settings(), on: loop) { signal in
      switch signal {
      case .ready: made.futureResult.whenSuccess { self.opened($0, index, opening) }
      case .closed(let error): self.ended(index, opening, error)
      case .push, .silent, .answering: break
      }
    }.whenComplete { result in
      if case .failure(let error) = result {
        self.ended(index, opening, DFSError(error, else: .disconnected))
      }
      made.completeWith(result)
    }
  }

  private func opened(_ connection: Connection, _ index: Int, _ opening: Promise<Connection>) {
    let isWanted = slots.withLock { slots in
      guard case .opening(opening) = slots[index] else { return false }
      slots[index] = .open(connection, opening)
      return true
    }
    if !isWanted { connection.close(.cancelled) }
    opening.fulfil(.success(connection))
  }

  private func ended(_ index: Int, _ opening: Promise<Connection>, _ error: DFSError) {
    slots.withLock { slots in
      switch slots[index] {
      case .opening(opening), .open(_, opening): slots[index] = .empty
      default: break
      }
    }
    opening.fulfil(.failure(error))
  }

  // MARK: Choosing

  private static func index(for use: Use, in slots: [Slot]) -> Int {
    switch use {
    case .stream(let number): return Int(number % UInt64(count))
    case .any:
      return slots.indices.min { load(of: slots[$0]) < load(of: slots[$1]) } ?? 0
    }
  }

  private static func load(of slot: Slot) -> Int {
    if case .open(let connection, _) = slot { connection.load } else { 0 }
  }
}

private func ~= <Value>(left: Promise<Value>, right: Promise<Value>) -> Bool { left === right }
