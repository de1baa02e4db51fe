public import DFSCore
internal import NIOCore
internal import NIOSSL

/// The key and the certificate by which a server is known on encrypted connections.
public struct TLSIdentity: Sendable {
  let context: NIOSSLContext
  let binding: ChannelBinding
  /// The fingerprint of the server's own certificate, the first of the chain.
  public let fingerprint: CertificateFingerprint

  /// - Parameters:
  ///   - certificates: PEM, the server's own first.
  ///   - key: PEM, not encrypted.
  /// - Throws: `configuration` if they cannot be read, do not belong together, or if no login can be
  ///   bound to them.
  public init(certificates: [UInt8], key: [UInt8]) throws(DFSError) {
    let chain: [NIOSSLCertificate]
    let own: [UInt8]
    do {
      chain = try NIOSSLCertificate.fromPEMBytes(certificates)
      own = try chain.first?.toDERBytes() ?? []
    } catch {
      throw DFSError(.configuration, "there is no certificate in PEM", cause: error)
    }
    let privateKey: NIOSSLPrivateKey
    do {
      privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem)
    } catch {
      throw DFSError(
        .configuration, "there is no key in PEM, or it is encrypted", cause: error)
    }
    binding = try ChannelBinding(certificate: own)
    fingerprint = CertificateFingerprint(certificate: own)
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
    configuration.minimumTLSVersion = .tlsv13
    configuration.shutdownTimeout = TLS.shutdownTimeout
    do {
      context = try NIOSSLContext(configuration: configuration)
    } catch {
      throw DFSError(
        .configuration, "the certificate and the key do not belong together", cause: error)
    }
  }
}

/// What the encrypted connections of servers and of clients have in common.
enum TLS {
  /// The peer has so long to say that it closes too.
  static let shutdownTimeout = TimeAmount.seconds(1)
  /// The first byte of a TLS record of the handshake (RFC 8446, section 5.1). A frame that a client may
  /// send first begins with a zero, since its length is below 2^24.
  static let handshakeRecord: UInt8 = 22

  /// For all connections of this process. Certificates are not checked against authorities: each login is
  /// bound to the server's.
  static let client: Result<NIOSSLContext, any Error> = Result {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv13
    configuration.certificateVerification = .noHostnameVerification
    configuration.trustRoots = .certificates([])
    configuration.shutdownTimeout = shutdownTimeout
    return try NIOSSLContext(configuration: configuration)
  }
}

extension SocketAddress {
  /// Whether it is of this machine alone: 127.0.0.0/8 and ::1, the former in IPv6 too.
  var isLoopback: Bool {
    guard let text = ipAddress else { return true }
    return text.hasPrefix("127.") || text == "::1" || text.hasPrefix("::ffff:127.")
  }
}
