internal import Crypto
internal import FoundationEssentials

/// How the certificate of a server is named, for people and in dfc.conf: SHA-256 of all its bytes
/// (DER), written as OpenSSH writes fingerprints: `SHA256:` and base64 without padding.
public struct CertificateFingerprint: Hashable, Sendable, CustomStringConvertible {
  /// 32 bytes.
  public let bytes: [UInt8]

  static let prefix = "SHA256:"

  /// - Parameter certificate: DER.
  public init(certificate: [UInt8]) { bytes = Array(SHA256.hash(data: certificate)) }

  /// - Parameter text: `SHA256:` (in any case of letters) and base64 with or without padding, or 64
  ///   hexadecimal digits with or without colons, as `openssl x509 -fingerprint -sha256` prints them.
  /// - Returns: nil if it is neither.
  public init?(text: some StringProtocol) {
    guard Self.isMeant(by: text) else { return nil }
    let value = String(text.dropFirst(Self.prefix.count))
    let digits = value.filter { $0 != ":" }
    if digits.utf8.count == 64 {
      guard let bytes = [UInt8](hexadecimal: digits.lowercased()) else { return nil }
      self.bytes = bytes
    } else {
      let plain = value.hasSuffix("=") ? String(value.dropLast()) : value
      guard plain.utf8.count == 43, let data = Data(base64Encoded: plain + "="), data.count == 32
      else { return nil }
      bytes = Array(data)
    }
  }

  /// Whether a word is to be read as a fingerprint.
  public static func isMeant(by text: some StringProtocol) -> Bool {
    text.prefix(prefix.count).uppercased() == prefix
  }

  public var description: String {
    Self.prefix + Data(bytes).base64EncodedString().filter { $0 != "=" }
  }
}
