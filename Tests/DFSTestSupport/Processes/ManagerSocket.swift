internal import DFSCore
internal import Glibc

/// The socket of a service manager (sd_notify(3)), and what was told there.
public final class ManagerSocket: Sendable {
  /// For NOTIFY_SOCKET: a path, or `@NAME` in the abstract namespace.
  public let name: String
  private let descriptor: Int32

  public init(_ name: String) throws {
    self.name = name
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if name.hasPrefix("@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let limit = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    guard limit == 0 else {
      throw DFSError(.inputOutput, "cannot bind \(name): \(String(cString: strerror(errno)))")
    }
  }

  deinit {
    close(descriptor)
    if name.hasPrefix("/") { unlink(name) }
  }

  /// The lines of the next message, once it is there.
  public func next(within limit: Duration = .seconds(20)) async throws -> [String] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var count = -1
    try await eventually("a message to \(name)", within: limit) {
      count = recv(descriptor, &buffer, buffer.count, 0)
      return count >= 0
    }
    return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Whether no message waits.
  public var isSilent: Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) < 0
  }
}
