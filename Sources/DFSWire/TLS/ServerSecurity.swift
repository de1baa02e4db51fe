internal import DFSCore
public import NIOCore
internal import NIOSSL

/// A server's side of encryption: the first byte that a client sends tells whether it speaks TLS. If
/// not, the connection must come from this machine, or plain text be allowed.
///
/// `ChannelSecured` comes up the pipeline before the first frame. What is to be written earlier (a
/// refusal) waits until it is known how, unless plain text is allowed.
public final class ServerSecurity: ChannelDuplexHandler, RemovableChannelHandler {
  public typealias InboundIn = ByteBuffer
  public typealias InboundOut = ByteBuffer
  public typealias OutboundIn = ByteBuffer
  public typealias OutboundOut = ByteBuffer

  private enum State {
    case silent(held: [(ByteBuffer, EventLoopPromise<Void>?)])
    case decided
    /// What still comes is thrown away.
    case refused
  }

  private let identity: TLSIdentity
  private let allowsPlaintext: Bool
  private var mayBePlain = false
  private var state = State.silent(held: [])

  /// - Parameter allowsPlaintext: whether other machines may connect unencrypted; this one always
  ///   may.
  public init(_ identity: TLSIdentity, allowsPlaintext: Bool) {
    self.identity = identity
    self.allowsPlaintext = allowsPlaintext
  }

  public func channelActive(context: ChannelHandlerContext) {
    mayBePlain = allowsPlaintext || context.remoteAddress?.isLoopback == true
    context.fireChannelActive()
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch state {
    case .decided: context.fireChannelRead(data)
    case .refused: break
    case .silent(let held):
      let bytes = Self.unwrapInboundIn(data)
      guard let first = bytes.readableBytesView.first else { return }
      if first == TLS.handshakeRecord {
        encrypt(bytes, held, context)
      } else {
        stayPlain(bytes, held, context)
      }
    }
  }

  private func encrypt(
    _ bytes: ByteBuffer, _ held: [(ByteBuffer, EventLoopPromise<Void>?)],
    _ context: ChannelHandlerContext
  ) {
    state = .decided
    do {
      try context.pipeline.syncOperations.addHandler(
        NIOSSLServerHandler(context: identity.context), position: .before(self))
    } catch {
      return context.fireErrorCaught(error)
    }
    context.fireUserInboundEventTriggered(ChannelSecured(binding: identity.binding))
    write(held, context)
    // From its beginning, where TLS is now.
    context.pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
    context.pipeline.syncOperations.removeHandler(self, promise: nil)
  }

  private func stayPlain(
    _ bytes: ByteBuffer, _ held: [(ByteBuffer, EventLoopPromise<Void>?)],
    _ context: ChannelHandlerContext
  ) {
    guard mayBePlain else {
      state = .refused
      context.fireErrorCaught(
        DFSError(
          .configuration,
          "this server speaks with other machines over encrypted connections only; use a client of "
            + "release 1.1 or later without 'Encryption off', or start the server with --plaintext")
      )
      return write(held, context)
    }
    state = .decided
    context.fireUserInboundEventTriggered(ChannelSecured(binding: nil))
    write(held, context)
    context.fireChannelRead(Self.wrapInboundOut(bytes))
    context.pipeline.syncOperations.removeHandler(self, promise: nil)
  }

  private func write(
    _ held: [(ByteBuffer, EventLoopPromise<Void>?)], _ context: ChannelHandlerContext
  ) {
    for (bytes, promise) in held { context.write(Self.wrapOutboundOut(bytes), promise: promise) }
    if !held.isEmpty { context.flush() }
  }

  public func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    guard case .silent(let held) = state, !mayBePlain else {
      return context.write(data, promise: promise)
    }
    state = .silent(held: held + [(Self.unwrapOutboundIn(data), promise)])
  }

  public func channelInactive(context: ChannelHandlerContext) {
    if case .silent(let held) = state {
      state = .decided
      for (_, promise) in held { promise?.fail(ChannelError.ioOnClosedChannel) }
    }
    context.fireChannelInactive()
  }
}
