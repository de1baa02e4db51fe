internal import Crypto
internal import DFSCore
internal import SwiftASN1

/// A certificate that its own key signs (X.509 version 3, RFC 5280), in the one form that servers make.
///
/// It is written here, and not by swift-certificates, since that package brings in CoreFoundation: in whole
/// modules (release builds) the compiler then takes that for the home of Glibc's types, and refuses them
/// in all files that import Glibc alone.
enum SelfSignedCertificate {
  /// A new key (P-256) and a certificate for it, as one PEM text. The certificate does not expire
  /// (section 4.1.2.5): nobody asks for its dates, and logins are bound to it whatever it says.
  /// - Parameter name: of the server; its common name.
  static func make(name: String) throws(DFSError) -> String {
    let key = P256.Signing.PrivateKey()
    let body = body(name: name, publicKey: Array(key.publicKey.derRepresentation))
    do {
      let signature = Array(try key.signature(for: body).derRepresentation)
      let certificate = sequence(body + ecdsaWithSHA256 + bits(signature))
      let pem = PEMDocument(type: "CERTIFICATE", derBytes: certificate).pemString
      return key.pemRepresentation + "\n" + pem + "\n"
    } catch {
      throw DFSError(.inputOutput, "a key and a certificate cannot be made", cause: error)
    }
  }

  /// The part that is signed.
  /// - Parameter publicKey: a SubjectPublicKeyInfo.
  private static func body(name: String, publicKey: [UInt8]) -> [UInt8] {
    let version = element(0xa0, element(0x02, [2]))
    // Positive, and not shorter for a leading zero.
    let serial = element(
      0x02, [.random(in: 0x40...0x7f)] + (0..<15).map { _ in UInt8.random(in: 0...255) })
    let validity = sequence(
      element(0x17, Array("200101000000Z".utf8)) + element(0x18, Array("99991231235959Z".utf8)))
    let commonName = sequence(element(0x06, [0x55, 4, 3]) + element(0x0c, Array(name.utf8)))
    let subject = sequence(element(0x31, commonName))
    return sequence(
      version + serial + ecdsaWithSHA256 + subject + validity + subject + publicKey + extensions)
  }

  /// No authority for others; for signatures.
  private static var extensions: [UInt8] {
    let basicConstraints = critical([0x55, 0x1d, 0x13], sequence([]))
    let keyUsage = critical([0x55, 0x1d, 0x0f], element(0x03, [7, 0x80]))
    return element(0xa3, sequence(basicConstraints + keyUsage))
  }

  private static func critical(_ identifier: [UInt8], _ value: [UInt8]) -> [UInt8] {
    sequence(element(0x06, identifier) + element(0x01, [0xff]) + element(0x04, value))
  }

  /// RFC 5758, section 3.2.
  private static var ecdsaWithSHA256: [UInt8] {
    sequence(element(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]))
  }

  // MARK: DER (X.690)

  private static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }

  private static func bits(_ content: [UInt8]) -> [UInt8] { element(0x03, [0] + content) }

  /// - Parameter content: below 64 KiB.
  private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let (high, low) = (
      UInt8(truncatingIfNeeded: content.count >> 8), UInt8(truncatingIfNeeded: content.count)
    )
    switch content.count {
    case ..<128: return [tag, low] + content
    case ..<256: return [tag, 0x81, low] + content
    default: return [tag, 0x82, high, low] + content
    }
  }
}
