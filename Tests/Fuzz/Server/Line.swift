import Foundation
import Synchronization

/// Why a run could not be made, or what it found.
struct FuzzFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A connected socket of loopback, read and written with deadlines.
final class Line {
  private let descriptor: Int32
  private var received: [UInt8] = []
  private(set) var isAtEnd = false

  init(port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = Self.loopback(port)
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else {
      Foundation.close(descriptor)
      throw FuzzFailure("port \(port) does not accept: \(String(cString: strerror(errno)))")
    }
    prepare()
  }

  init(accepted descriptor: Int32) {
    self.descriptor = descriptor
    prepare()
  }

  private func prepare() {
    var yes: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  deinit { Foundation.close(descriptor) }

  static func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  /// Writes and reads until all is written and `isDone`, the peer closes, or the time is over.
  /// - Returns: whether it is done; false at the end of the connection.
  /// - Throws: if the time is over.
  func exchange(
    _ bytes: [UInt8], within seconds: Double, isDone: (RawFrame) -> Bool = { _ in false }
  ) throws -> Bool {
    var rest = bytes[...]
    let end = Date().timeIntervalSinceReferenceDate + seconds
    while !isAtEnd {
      while let frame = RawFrame(from: &received) { if isDone(frame) { return true } }
      let left = end - Date().timeIntervalSinceReferenceDate
      guard left > 0 else { throw FuzzFailure("no answer within \(seconds) s") }
      let events = Int16(POLLIN) | (rest.isEmpty ? 0 : Int16(POLLOUT))
      var polled = pollfd(fd: descriptor, events: events, revents: 0)
      guard poll(&polled, 1, Int32(left * 1000) + 1) > 0 else { continue }
      if polled.revents & Int16(POLLOUT) != 0, !rest.isEmpty {
        let count = rest.withUnsafeBytes {
          send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if count > 0 { rest = rest.dropFirst(count) } else if errno != EAGAIN { isAtEnd = true }
      }
      if polled.revents & ~Int16(POLLOUT) != 0 { fill() }
    }
    return false
  }

  private func fill() {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64 << 10) { buffer in
      let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
      if count > 0 {
        received += buffer.prefix(count)
      } else if count == 0 || errno != EAGAIN && errno != EINTR {
        isAtEnd = true
      }
    }
  }

  // MARK: For a relay

  /// What comes within a second; empty if nothing does.
  func take() -> [UInt8] {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&polled, 1, 1000) > 0 else { return [] }
    fill()
    defer { received = [] }
    return received
  }

  /// - Returns: false if the peer takes no more.
  func put(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&polled, 1, 30_000) > 0 else { return false }
      } else {
        return false
      }
    }
    return true
  }

  func shutDown() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
