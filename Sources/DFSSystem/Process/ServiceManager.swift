public import DFSCore
internal import Glibc

/// Who started this process as a service and wants to be told how it is: systemd, or another manager
/// that speaks its protocol (sd_notify(3)). Each message is a datagram of lines to the socket that
/// NOTIFY_SOCKET names.
public struct ServiceManager: Sendable {
  private let socketPath: String?

  /// The manager of this process, if it has one.
  public init() { self.init(socketPath: ByteText.environment("NOTIFY_SOCKET")) }

  /// - Parameter socketPath: a path, or `@NAME` in the abstract namespace (unix(7)); nil tells nobody.
  public init(socketPath: String?) { self.socketPath = socketPath }

  /// The service does its work now.
  public func ready(_ status: String) throws(DFSError) {
    try tell("READY=1\nSTATUS=\(status.printable)")
  }

  /// The service is about to end.
  /// - Parameter seconds: what that may take, if the manager's own limit is shorter.
  public func stopping(_ status: String, within seconds: Int) throws(DFSError) {
    try tell(
      "STOPPING=1\nSTATUS=\(status.printable)\nEXTEND_TIMEOUT_USEC=\(seconds * 1_000_000)")
  }

  private func tell(_ message: String) throws(DFSError) {
    guard let socketPath else { return }
    var name = Array(socketPath.utf8)
    var address = sockaddr_un()
    guard name.first == UInt8(ascii: "/") || name.first == UInt8(ascii: "@"),
      name.count > 1, name.count < MemoryLayout.size(ofValue: address.sun_path)
    else {
      throw DFSError(
        .configuration,
        "NOTIFY_SOCKET is '\(socketPath.printable)', and no path of a socket; unset it")
    }
    if name[0] == UInt8(ascii: "@") { name[0] = 0 }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let length =
      socklen_t(MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2) + socklen_t(name.count)
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure(socketPath) }
    defer { close(descriptor) }
    let bytes = Array(message.utf8)
    let sent = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
    guard sent == bytes.count else { throw failure(socketPath) }
  }

  private func failure(_ socketPath: String) -> DFSError {
    DFSError(
      .inputOutput,
      "cannot tell the service manager at \(socketPath.printable) (NOTIFY_SOCKET) how this service "
        + "is: \(String(cString: strerror(errno)))")
  }
}
