import DFSTestSupport
import Glibc

/// The few socket calls of the relay. Descriptors do not block and are not inherited.
enum Sockets {
  private static let flags =
    Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    | Int32(SOCK_CLOEXEC.rawValue)

  /// A listening socket on a free port of loopback.
  static func listen() throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, flags, 0)
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && Glibc.listen(descriptor, 128) == 0
          ? getsockname(descriptor, $0, &length) : -1
      }
    }
    guard status == 0 else { throw TortureFailure("the relay finds no free port: errno \(errno)") }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  static func accept(_ listener: Int32) -> Int32? {
    let descriptor = ChildProcess.withoutStarts {
      let descriptor = Glibc.accept(listener, nil, nil)
      if descriptor >= 0 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
      return descriptor
    }
    guard descriptor >= 0 else { return nil }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    sendAtOnce(descriptor)
    return descriptor
  }

  /// Begins to connect to a port of loopback.
  static func connect(to port: Int) -> Int32? {
    let descriptor = socket(AF_INET, flags, 0)
    guard descriptor >= 0 else { return nil }
    sendAtOnce(descriptor)
    var address = loopback(UInt16(port))
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if status == 0 || errno == EINPROGRESS { return descriptor }
    close(descriptor)
    return nil
  }

  /// Closes so that the peer sees a reset.
  static func reset(_ descriptor: Int32) {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close(descriptor)
  }

  private static func sendAtOnce(_ descriptor: Int32) {
    var yes: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }
}

/// Two connected sockets: what is written to one is read from the other. They are not inherited.
struct Channel {
  let ours: Int32
  let theirs: Int32

  init() throws {
    var ends: [Int32] = [0, 0]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
      throw TortureFailure("no pair of sockets: errno \(errno)")
    }
    (ours, theirs) = (ends[0], ends[1])
  }
}
