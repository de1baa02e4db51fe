import DFSConfiguration
import Testing

@testable import DFSConfiguration
@testable import DFSCore

@Suite struct CertificateFingerprintTests {
  private static let text = "SHA256:2AjTsoFlE0U71K6Gb00NP+SRm0JIRxnBnPkXtCSpkKo"
  private static let hexadecimal =
    "D8:08:D3:B2:81:65:13:45:3B:D4:AE:86:6F:4D:0D:3F:E4:91:9B:42:48:47:19:C1:9C:F9:17:B4:24:A9:90:AA"

  /// As the server prints it, and as openssl does.
  @Test func isReadInEachForm() throws {
    let plain = try #require(CertificateFingerprint(text: Self.text))
    #expect(plain.description == Self.text)
    #expect(CertificateFingerprint(text: Self.text + "=") == plain)
    #expect(CertificateFingerprint(text: "sha256:" + Self.hexadecimal) == plain)
    #expect(
      CertificateFingerprint(text: "SHA256:" + Self.hexadecimal.filter { $0 != ":" }) == plain)
  }

  @Test(arguments: [
    "", "SHA256:", "SHA256:abc", "MD5:" + hexadecimal, text + "==", text + "A", "SHA256:" + text,
    String(text.dropLast()), "SHA256:" + String(repeating: "zz", count: 32),
  ])
  func isNothingElse(_ text: String) { #expect(CertificateFingerprint(text: text) == nil) }

  private static func read(_ first: String, _ more: String = "") throws -> ClientConfiguration {
    let rest = (2...4).map { "Server DFS\($0) 192.0.2.1:1000\($0)\n" }.joined()
    return try ConfigurationReader.read(first + "\n" + rest + more, path: "dfc.conf")
  }

  @Test(arguments: [
    "192.0.2.1:10001", "192.0.2.1 10001", "[2001:db8::1]:10001", "host:10001",
  ])
  func followsTheAddressOfAServer(_ address: String) throws {
    let plain = try Self.read("Server DFS1 \(address)")
    let pinned = try Self.read("Server DFS1 \(address) \(Self.text) # printed by DFS1")
    #expect(pinned.servers[0].fingerprint == CertificateFingerprint(text: Self.text))
    #expect(pinned.servers[0].host == plain.servers[0].host)
    #expect(pinned.servers[0].port == 10001)
    #expect(plain.servers[0].fingerprint == nil)
  }

  @Test func aWrongOneIsNoAddress() {
    let error = #expect(throws: DFSError.self) {
      try Self.read("Server DFS1 192.0.2.1:10001 SHA256:abc")
    }
    #expect(error?.message.contains("dfc.conf:1: 'SHA256:abc' is not a fingerprint") == true)
  }

  @Test func encryptionIsSaidInOneWord() throws {
    #expect(try Self.read("Server DFS1 h:1").encryption == .auto)
    #expect(try Self.read("Server DFS1 h:1", "Encryption off\n").encryption == .off)
    #expect(try Self.read("Server DFS1 h:1", "encryption: Always\n").encryption == .always)
    #expect(throws: DFSError.self) { try Self.read("Server DFS1 h:1", "Encryption no\n") }
  }

  /// Nobody is to believe that a fingerprint protects what is not encrypted.
  @Test func aFingerprintWithoutEncryptionIsRefused() {
    let error = #expect(throws: DFSError.self) {
      try Self.read("Server DFS1 h:1 \(Self.text)", "Encryption off\n")
    }
    #expect(error?.message.contains("dfc.conf:1: a fingerprint is of no use") == true)
  }
}
