internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// How a mount in the background tells who started it whether it is there: one line, an exit status
/// and a message.
public struct StatusPipe: Sendable {
  private let descriptor: Int32

  /// Takes over a descriptor that is open for writing; no process that is started inherits it.
  public init(descriptor: Int32) {
    self.descriptor = descriptor
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }

  /// Tells, once; who started us ends with that status.
  public func report(_ status: Int32, _ message: String) {
    try? FileDescriptor(rawValue: descriptor).writeWhole(Array("\(status) \(message)\n".utf8))
    close(descriptor)
  }

  /// What was told, or nil if the other end closed without telling.
  static func read(_ descriptor: Int32, within limit: Duration) throws(DFSError)
    -> (status: Int32, message: String)?
  {
    let end = ContinuousClock.now + limit
    var bytes: [UInt8] = []
    while true {
      let left = max(Duration.zero, end - ContinuousClock.now)
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waiting, 1, Int32(left.seconds * 1000))
      if ready < 0, errno == EINTR { continue }
      guard ready > 0 else { throw DFSError(.timedOut, "no answer within \(limit.seconds) s") }
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count > 0 { bytes += buffer[..<count] } else { break }
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let words = text.split(separator: " ", maxSplits: 1)
    guard words.count == 2, let status = Int32(words[0]) else { return nil }
    return (status, String(words[1].drop { $0 == "\n" }.reversed().drop { $0 == "\n" }.reversed()))
  }
}
