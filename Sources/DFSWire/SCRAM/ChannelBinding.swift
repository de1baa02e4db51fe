internal import Crypto
internal import DFSCore
internal import SwiftASN1

/// What binds a login to the encrypted connection that it is made on: `tls-server-end-point`
/// (RFC 5929, section 4), a hash of the server's certificate by the hash function of the
/// certificate's signature, SHA-256 in place of an older one.
public struct ChannelBinding: Hashable, Sendable {
  static let name = "tls-server-end-point"

  /// A hash of the server's certificate: 32, 48 or 64 bytes.
  public let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// - Parameter certificate: DER.
  /// - Throws: `configuration` if it cannot be read, or if there is no binding for it.
  init(certificate: [UInt8]) throws(DFSError) {
    let algorithm: ASN1ObjectIdentifier
    do {
      algorithm = try Self.signatureAlgorithm(certificate)
    } catch {
      throw DFSError(.configuration, "the server's certificate cannot be read", cause: error)
    }
    switch algorithm {
    // RSA and ECDSA (RFC 3279, 4055 and 5758), by the hash function.
    case [1, 2, 840, 113549, 1, 1, 5], [1, 2, 840, 113549, 1, 1, 11], [1, 2, 840, 10045, 4, 3, 2]:
      bytes = Array(SHA256.hash(data: certificate))
    case [1, 2, 840, 113549, 1, 1, 12], [1, 2, 840, 10045, 4, 3, 3]:
      bytes = Array(SHA384.hash(data: certificate))
    case [1, 2, 840, 113549, 1, 1, 13], [1, 2, 840, 10045, 4, 3, 4]:
      bytes = Array(SHA512.hash(data: certificate))
    default:
      throw DFSError(
        .configuration,
        "no login can be bound to the server's certificate: it is signed by the algorithm \(algorithm); "
          + "use one that is signed by ECDSA or RSA (PKCS #1 v1.5) with SHA-256, SHA-384 or SHA-512"
      )
    }
  }

  /// The second of the three fields of a certificate (RFC 5280, section 4.1).
  private static func signatureAlgorithm(_ certificate: [UInt8]) throws -> ASN1ObjectIdentifier {
    try DER.sequence(try DER.parse(certificate), identifier: .sequence) { fields in
      guard fields.next() != nil, let algorithm = fields.next(), fields.next() != nil else {
        throw DFSError(.damaged, "it has too few fields")
      }
      return try DER.sequence(algorithm, identifier: .sequence) { fields in
        let identifier = try ASN1ObjectIdentifier(derEncoded: &fields)
        while fields.next() != nil {}
        return identifier
      }
    }
  }
}

/// Comes up the pipeline before the first frame, once it is known whether the connection is
/// encrypted.
public struct ChannelSecured: Sendable {
  /// Nil if it is not.
  public let binding: ChannelBinding?
}
