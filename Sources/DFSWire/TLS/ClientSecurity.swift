public import DFSCore
public import NIOCore
internal import NIOSSL
internal import NIOTLS

/// A client's side of encryption: every connection that is not within this machine speaks TLS 1.3 from
/// its first byte, unless the configuration says otherwise.
///
/// `ChannelSecured` comes up the pipeline once frames may be sent: after the handshake if there is
/// one. It never falls back to plain text.
public final class ClientSecurity: ChannelInboundHandler, RemovableChannelHandler {
  public typealias InboundIn = ByteBuffer
  public typealias InboundOut = ByteBuffer

  private let encryption: Encryption
  private let pin: CertificateFingerprint?
  private let peer: String
  private var tls: NIOSSLClientHandler?

  /// - Parameters:
  ///   - pin: the only certificate that is accepted; then the connection is encrypted, wherever to.
  ///   - peer: how the server is called in messages.
  public init(_ encryption: Encryption, pin: CertificateFingerprint?, peer: String) {
    self.encryption = encryption
    self.pin = pin
    self.peer = peer
  }

  private func encrypts(_ address: SocketAddress?) -> Bool {
    switch encryption {
    case .off: false
    case .always: true
    case .auto: pin != nil || address?.isLoopback != true
    }
  }

  public func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    guard encrypts(context.remoteAddress) else {
      context.fireUserInboundEventTriggered(ChannelSecured(binding: nil))
      return context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
    do {
      let tls = try NIOSSLClientHandler(
        context: try TLS.client.get(), serverHostname: nil,
        customVerificationCallback: { _, verdict in verdict.succeed(.certificateVerified) })
      self.tls = tls
      try context.pipeline.syncOperations.addHandler(tls, position: .before(self))
    } catch {
      errorCaught(context: context, error: error)
    }
  }

  public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent else {
      return context.fireUserInboundEventTriggered(event)
    }
    do throws(DFSError) {
      context.fireUserInboundEventTriggered(ChannelSecured(binding: try binding()))
    } catch {
      context.fireErrorCaught(error)
    }
  }

  private func binding() throws(DFSError) -> ChannelBinding {
    guard let certificate = try? tls?.peerCertificate?.toDERBytes() else {
      throw DFSError(.disconnected, "\(peer) has no certificate")
    }
    let fingerprint = CertificateFingerprint(certificate: certificate)
    if let pin, fingerprint != pin {
      throw DFSError(
        .disconnected,
        "\(peer) has the certificate \(fingerprint), the configuration says \(pin): something between "
          + "relays the connection, or the server has a new certificate; compare with what the server "
          + "printed when it started")
    }
    do throws(DFSError) {
      return try ChannelBinding(certificate: certificate)
    } catch {
      throw DFSError(.disconnected, "\(peer): \(error)")
    }
  }

  public func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.fireErrorCaught(explained(error))
  }

  private func explained(_ error: any Error) -> any Error {
    switch error as? NIOSSLError {
    case .uncleanShutdown: DFSError(.disconnected, "\(peer) closed the connection")
    case .handshakeFailed(let reason):
      DFSError(
        .disconnected,
        "\(peer): no encrypted connection (\(Self.reason("\(reason)"))); the server must be of release "
          + "1.1 or later; one that is started with --plaintext may be used unencrypted, with "
          + "'Encryption off' in the configuration")
    case .some, .none: error
    }
  }

  /// What BoringSSL says, in plain words.
  private static func reason(_ text: String) -> String {
    if text.contains("WRONG_VERSION_NUMBER") { return "it answers in plain text" }
    if text.contains("EOF during handshake") { return "it closed the connection" }
    guard let token = text.split(separator: "OPENSSL_internal:").dropFirst().first else {
      return text.printable
    }
    return token.prefix { $0 == "_" || $0.isLetter || $0.isNumber }.lowercased()
      .replacing("_", with: " ")
  }
}
