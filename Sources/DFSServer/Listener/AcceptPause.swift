internal import Glibc
internal import NIOCore

/// Stops accepting for a moment when the process or the system has no descriptor or memory left for
/// a connection (accept(2): EMFILE, ENFILE, ENOBUFS, ENOMEM). The listener stays readable then, and
/// would be asked again at once, for ever.
final class AcceptPause: ChannelInboundHandler {
  typealias InboundIn = any Channel

  static let pause = TimeAmount.milliseconds(250)

  private let whenFull: @Sendable (IOError) -> Void
  private var isPausing = false

  /// - Parameter whenFull: called each time that nothing could be accepted; may make room.
  init(whenFull: @escaping @Sendable (IOError) -> Void) { self.whenFull = whenFull }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError,
      [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode)
    else { return context.fireErrorCaught(error) }
    guard !isPausing else { return }
    isPausing = true
    whenFull(error)
    let channel = context.channel
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    // Not in the midst of reading, of which this is the end.
    context.eventLoop.execute { _ = channel.setOption(.autoRead, value: false) }
    context.eventLoop.scheduleTask(in: Self.pause) {
      bound.value.isPausing = false
      _ = channel.setOption(.autoRead, value: true)
    }
  }
}
