import DFSCore
import Foundation
import Glibc
import Synchronization

/// A TCP relay between clients and servers: for each client and server a port of its own, and a rule
/// that says what happens to the bytes. One thread moves them all.
final class Relay: Sendable {
  private struct State {
    var rules: [RelayLink: RelayRule] = [:]
    /// Links whose rule changed since the thread looked.
    var changed: [RelayLink: RelayRule] = [:]
  }

  /// The port of each link.
  let ports: [RelayLink: Int]
  private let listeners: [(link: RelayLink, descriptor: Int32)]
  private let targets: [Int]
  private let state = Mutex(State())
  private let wakeUp: (read: Int32, write: Int32)

  /// - Parameter servers: the real ports, in the order of the servers.
  init(clients: Int, servers: [Int]) throws {
    var (ports, listeners) = ([RelayLink: Int](), [(link: RelayLink, descriptor: Int32)]())
    for client in 0..<clients {
      for server in ServerIndex.all {
        let link = RelayLink(client: client, server: server)
        let (descriptor, port) = try Sockets.listen()
        ports[link] = port
        listeners.append((link, descriptor))
      }
    }
    (self.ports, self.listeners, targets) = (ports, listeners, servers)
    let ends = try Channel()
    wakeUp = (ends.ours, ends.theirs)
    _ = fcntl(ends.ours, F_SETFL, O_NONBLOCK)
    Thread.detachNewThread { self.run() }
  }

  func set(_ rule: RelayRule, on links: [RelayLink]) {
    state.withLock { state in
      for link in links {
        // What was before it, in case two changes come before the thread looks.
        state.changed[link] = state.changed[link] ?? state.rules[link] ?? .pass
        state.rules[link] = rule
      }
    }
    _ = write(wakeUp.write, "w", 1)
  }

  // MARK: The thread

  private func run() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    var connections: [RelayConnection] = []
    while true {
      var (rules, changed) = ([RelayLink: RelayRule](), [RelayLink: RelayRule]())
      state.withLock { state in
        (rules, changed) = (state.rules, state.changed)
        state.changed = [:]
      }
      let rule = { (link: RelayLink) in rules[link] ?? .pass }
      connections.removeAll { connection in
        guard changed[connection.link] != nil,
          rule(connection.link) == .close || connection.hasLostBytes
        else { return false }
        connection.reset()
        return true
      }
      let ready = wait(connections, rule)
      acceptNew(&connections, rule)
      connections.removeAll { connection in
        guard ready.contains(connection.client) || ready.contains(connection.server)
        else { return false }
        if connection.pump(rule(connection.link), through: buffer) { return false }
        connection.reset()
        return true
      }
    }
  }

  /// Until something can be moved, or a rule changes.
  /// - Returns: the descriptors of which something can be told.
  private func wait(
    _ connections: [RelayConnection], _ rule: (RelayLink) -> RelayRule
  ) -> Set<Int32> {
    var list = [pollfd(fd: wakeUp.read, events: Int16(POLLIN), revents: 0)]
    list += listeners.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    for connection in connections {
      let rule = rule(connection.link)
      let ends = [
        (connection.client, connection.clientEvents(rule)),
        (connection.server, connection.serverEvents(rule)),
      ]
      // One that waits for nothing is left out: else its end would be told again and again.
      list += ends.filter { $0.1 != 0 }.map { pollfd(fd: $0.0, events: $0.1, revents: 0) }
    }
    poll(&list, nfds_t(list.count), 1000)
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(wakeUp.read, &bytes, bytes.count) > 0 {}
    return Set(list.filter { $0.revents != 0 }.map(\.fd))
  }

  private func acceptNew(
    _ connections: inout [RelayConnection], _ rule: (RelayLink) -> RelayRule
  ) {
    for (link, listener) in listeners {
      while let client = Sockets.accept(listener) {
        guard rule(link) != .close, let server = Sockets.connect(to: targets[link.server.value])
        else {
          Sockets.reset(client)
          continue
        }
        connections.append(RelayConnection(link, client: client, server: server))
      }
    }
  }
}
