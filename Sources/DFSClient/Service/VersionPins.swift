internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import Synchronization

/// The contents of what is open here, told to the servers, which keep their copies though they be
/// replaced. A server that connects again is told again.
///
/// Servers keep what was just replaced for a while anyway, and most files are closed as soon as they
/// were read; so they are told together, a moment later, and only of what is still open then.
///
/// Invariant: holds and releases reach each server in the order of calls.
final class VersionPins: Sendable {
  static let timeout = Duration.seconds(2)
  static let delay = Duration.milliseconds(50)

  fileprivate struct State {
    var counts: [VersionID: Int] = [:]
    /// What the servers were told to hold.
    var told: Set<VersionID> = []
    /// Held or released since they were told last.
    var changed: Set<VersionID> = []
    /// They will be told by themselves.
    var isDue = false
    var last: Task<Void, Never>?
  }

  private let requests: any ServerRequests
  private let state = Mutex(State())

  init(requests: any ServerRequests) { self.requests = requests }

  func pin(_ version: Version) { change(version.contents.map(\.id), by: 1) }
  func unpin(_ version: Version) { change(version.contents.map(\.id), by: -1) }

  /// Returns when all servers that are up know of what is held, or all but one: a silent server keeps
  /// nobody waiting.
  func tell() async {
    let last = state.withLock { state in
      let (new, gone) = state.takeChanges()
      for page in new.pages { state.last = tell(Request.Hold(page), after: state.last) }
      for page in gone.pages { state.last = tell(Request.Release(page), after: state.last) }
      return state.last
    }
    await last?.value
  }

  /// A server is connected (again), and knows nothing of what the others were told.
  func renew(on server: ServerIndex) {
    state.withLock { state in
      // Of the rest it is told with the others, and only then of its release.
      let versions = state.told.filter { state.counts[$0] != nil }.sorted()
      state.last = Task { [requests, last = state.last] in
        await last?.value
        for page in versions.pages {
          requests.ask(server, Request.Hold(page), timeout: Self.timeout) { _ in }
        }
      }
    }
  }

  private func change(_ contents: [VersionID], by difference: Int) {
    let isFirst = state.withLock { state in
      for id in contents {
        let count = max(0, state.counts[id, default: 0] + difference)
        state.counts[id] = count == 0 ? nil : count
        state.changed.insert(id)
      }
      defer { state.isDue = true }
      return !state.isDue
    }
    guard isFirst else { return }
    Task {
      try? await requests.environment.sleep(for: Self.delay)
      state.withLock { $0.isDue = false }
      await tell()
    }
  }

  private func tell<Message: RequestMessage>(
    _ message: Message, after last: Task<Void, Never>?
  ) -> Task<Void, Never> {
    Task { [requests] in
      await last?.value
      let servers = requests.reachable.servers
      _ = await gather(
        from: servers, on: requests.loop, until: { $0.count >= servers.count - 1 }
      ) { server, note in
        requests.ask(server, message, timeout: Self.timeout) { note($0) }
      }
    }
  }
}

extension VersionPins.State {
  /// What the servers are to be told now.
  fileprivate mutating func takeChanges() -> (new: [VersionID], gone: [VersionID]) {
    let new = changed.filter { counts[$0] != nil && !told.contains($0) }
    let gone = changed.filter { counts[$0] == nil && told.contains($0) }
    changed = []
    told.formUnion(new)
    told.subtract(gone)
    return (new.sorted(), gone.sorted())
  }
}

extension [VersionID] {
  /// As many at once as one message takes.
  fileprivate var pages: [[VersionID]] {
    stride(from: 0, to: count, by: Wire.listItems).map {
      Array(self[$0..<Swift.min($0 + Wire.listItems, count)])
    }
  }
}
