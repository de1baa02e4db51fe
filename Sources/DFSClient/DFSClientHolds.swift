internal import DFSCore
internal import DFSWire

/// The versions that are open here, told to the servers, which keep their copies though they be
/// replaced. A server that connects again is told again.
///
/// Invariant: holds and releases reach each server in the order of calls.
actor DFSClientHolds {
  static let timeout = Duration.seconds(2)

  private let requests: any ServerRequests
  private var counts: [VersionID: Int] = [:]
  private var last: Task<Void, Never>?

  init(requests: any ServerRequests) { self.requests = requests }

  /// Returns when all servers that are up know, or all but one: a silent server keeps nobody waiting.
  func hold(_ version: VersionID) async {
    counts[version, default: 0] += 1
    if counts[version] == 1 { send(.hold([version])) }
    await last?.value
  }

  func release(_ version: VersionID) {
    guard let count = counts[version] else { return }
    counts[version] = count > 1 ? count - 1 : nil
    if count == 1 { send(.release([version])) }
  }

  func renew(on server: ServerIndex) async {
    let versions = Array(counts.keys)
    for start in stride(from: 0, to: versions.count, by: Wire.listItems) {
      let page = Array(versions[start..<min(start + Wire.listItems, versions.count)])
      _ = try? await requests.ask(server, .hold(page), timeout: Self.timeout)
    }
  }

  private func send(_ request: Request) {
    last = Task { [previous = last, requests] in
      await previous?.value
      await Self.tell(request, requests)
    }
  }

  private static func tell(_ request: Request, _ requests: any ServerRequests) async {
    let servers = requests.reachable.servers
    let (answers, feed) = AsyncStream.makeStream(of: Void.self)
    for server in servers {
      Task {
        _ = try? await requests.ask(server, request, timeout: timeout)
        feed.yield()
      }
    }
    var waiting = servers.count - 1
    guard waiting > 0 else { return }
    for await _ in answers {
      waiting -= 1
      if waiting == 0 { return }
    }
  }
}
