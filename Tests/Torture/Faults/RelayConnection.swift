import Glibc

/// One connection through the relay: two sockets and what one side sent and the other has not taken.
final class RelayConnection {
  /// Bytes of one direction.
  private struct Flow {
    var waiting: [UInt8] = []
    var sourceIsAtEnd = false
    var isShut = false
  }

  private static let waitingLimit = 1 << 18

  let link: RelayLink
  let client: Int32
  let server: Int32
  private var toServer = Flow()
  private var toClient = Flow()
  /// Bytes were swallowed: what follows them would make no sense.
  private(set) var hasLostBytes = false

  init(_ link: RelayLink, client: Int32, server: Int32) {
    self.link = link
    self.client = client
    self.server = server
  }

  func reset() {
    Sockets.reset(client)
    Sockets.reset(server)
  }

  // MARK: What to wait for

  func clientEvents(_ rule: RelayRule) -> Int16 {
    events(read: toServer, write: toClient, rule, .toServer, .toClient)
  }
  func serverEvents(_ rule: RelayRule) -> Int16 {
    events(read: toClient, write: toServer, rule, .toClient, .toServer)
  }

  private func events(
    read: Flow, write: Flow, _ rule: RelayRule, _ reading: RelayDirections,
    _ writing: RelayDirections
  ) -> Int16 {
    var events: Int16 = 0
    if !read.sourceIsAtEnd, read.waiting.count < Self.waitingLimit, !rule.stalls(reading) {
      events |= Int16(POLLIN)
    }
    if !write.waiting.isEmpty, !rule.stalls(writing) { events |= Int16(POLLOUT) }
    return events
  }

  // MARK: Moving bytes

  /// Moves what can be moved.
  /// - Returns: false if the connection is over.
  func pump(_ rule: RelayRule, through buffer: UnsafeMutableRawBufferPointer) -> Bool {
    move(&toServer, from: client, to: server, rule, .toServer, buffer)
      && move(&toClient, from: server, to: client, rule, .toClient, buffer)
      && !(toServer.isShut && toClient.isShut)
  }

  private func move(
    _ flow: inout Flow, from source: Int32, to target: Int32, _ rule: RelayRule,
    _ direction: RelayDirections, _ buffer: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard !rule.stalls(direction) else { return true }
    guard deliver(&flow, to: target) else { return false }
    while flow.waiting.count < Self.waitingLimit, !flow.sourceIsAtEnd {
      let count = read(source, buffer.baseAddress, buffer.count)
      if count < 0 { return Self.mayGoOn && shutIfDone(&flow, target) }
      if count == 0 {
        flow.sourceIsAtEnd = true
      } else if rule.drops(direction) {
        hasLostBytes = true
      } else {
        flow.waiting += UnsafeRawBufferPointer(rebasing: buffer[..<count])
        guard deliver(&flow, to: target) else { return false }
      }
    }
    return shutIfDone(&flow, target)
  }

  private func deliver(_ flow: inout Flow, to target: Int32) -> Bool {
    guard !flow.waiting.isEmpty else { return true }
    let count = flow.waiting.withUnsafeBytes {
      send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count < 0 { return Self.mayGoOn || errno == ENOTCONN }
    flow.waiting.removeFirst(count)
    return true
  }

  private func shutIfDone(_ flow: inout Flow, _ target: Int32) -> Bool {
    if flow.sourceIsAtEnd, flow.waiting.isEmpty, !flow.isShut {
      shutdown(target, Int32(SHUT_WR))
      flow.isShut = true
    }
    return true
  }

  private static var mayGoOn: Bool { errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR }
}
