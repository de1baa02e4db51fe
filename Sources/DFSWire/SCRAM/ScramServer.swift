public import DFSCore

/// The server of SCRAM-SHA-256 and, on an encrypted connection, SCRAM-SHA-256-PLUS (RFC 5802 and
/// 7677), for one login with one verifier.
///
/// On an encrypted connection a login that is not bound to it is refused, and one that is bound to
/// another certificate too, before its proof is looked at.
///
/// A wrong password, and a verifier that no password has, take the same steps and end in the same
/// error.
public struct ScramServer: Sendable {
  private let verifier: ScramVerifier
  private let nonce: String
  private let binding: ChannelBinding?
  /// Client-first without its header, a comma, and server-first; nil before `first`.
  private var exchange: String?
  private var header = ""
  private var combinedNonce = ""

  /// - Parameter binding: of the encrypted connection; nil if it is not encrypted.
  public init(verifier: ScramVerifier, binding: ChannelBinding? = nil) {
    self.init(
      verifier: verifier, binding: binding, nonce: Scram.base64(Scram.random(bytes: 18)))
  }

  init(verifier: ScramVerifier, binding: ChannelBinding? = nil, nonce: String) {
    self.verifier = verifier
    self.binding = binding
    self.nonce = nonce
  }

  /// Who wants to log in; not proven yet.
  public static func userName(inClientFirst message: String) throws(DFSError) -> String {
    let (_, bare) = try split(message)
    let escaped = try Scram.attributes(bare, ["n", "r"])[0]
    var name = ""
    var rest = escaped[...]
    while let character = rest.popFirst() {
      guard character == "=" else {
        name.append(character)
        continue
      }
      switch rest.prefix(2) {
      case "2C": name.append(",")
      case "3D": name.append("=")
      default: throw .violation("a user name with '=' that is not escaped")
      }
      rest = rest.dropFirst(2)
    }
    return name
  }

  /// The server-first message.
  /// - Throws: `notPermitted` if the login is not bound to this connection as it must be.
  public mutating func first(_ clientFirst: String) throws(DFSError) -> String {
    let (header, bare) = try Self.split(clientFirst)
    try check(header)
    let clientNonce = try Scram.attributes(bare, ["n", "r"])[1]
    guard !clientNonce.isEmpty else { throw .violation("a SCRAM message without a nonce") }
    self.header = header
    combinedNonce = clientNonce + nonce
    let answer =
      "r=\(combinedNonce),s=\(Scram.base64(verifier.salt)),i=\(verifier.iterations)"
    exchange = "\(bare),\(answer)"
    return answer
  }

  /// The server-final message: who sent `clientFinal` knows the password.
  /// - Throws: `loginFailed` if not, `notPermitted` if it came by another connection than was made.
  public mutating func final(_ clientFinal: String) throws(DFSError) -> String {
    guard let exchange else { throw .violation("the end of a login that was not begun") }
    self.exchange = nil
    guard let comma = clientFinal.lastIndex(of: ",") else {
      throw .violation("a SCRAM message that is not of the form of RFC 5802")
    }
    let withoutProof = clientFinal[..<comma]
    let fields = try Scram.attributes(withoutProof, ["c", "r"])
    let proof = try Scram.attributes(clientFinal[clientFinal.index(after: comma)...], ["p"])[0]
    guard fields[1] == combinedNonce else {
      throw .violation("a SCRAM message that does not belong to this login")
    }
    guard fields[0] == Scram.limit(header, binding) else {
      throw DFSError(
        .notPermitted,
        "the client saw another certificate than this server's: something between them relays the "
          + "connection")
    }
    let authMessage = "\(exchange),\(withoutProof)"
    let signature = Scram.hmac(verifier.storedKey, authMessage)
    let clientKey = Scram.xor(Scram.bytes(base64: proof) ?? [], signature)
    guard Scram.areEqual(Scram.hash(clientKey), verifier.storedKey) else {
      throw DFSError(.loginFailed, "wrong user name or password")
    }
    return "v=\(Scram.base64(Scram.hmac(verifier.serverKey, authMessage)))"
  }

  private func check(_ header: String) throws(DFSError) {
    let isBound = header == Scram.boundHeader
    if isBound, binding == nil {
      throw DFSError(
        .notPermitted,
        "the client sees an encrypted connection, this server a plain one: something between them "
          + "relays the connection")
    }
    guard isBound || binding == nil else {
      throw DFSError(
        .notPermitted,
        "on an encrypted connection a login must be bound to it (SCRAM-SHA-256-PLUS); use a client of "
          + "release 1.1 or later")
    }
  }

  /// The GS2 header and what follows it. Other channel bindings and other identities are refused.
  private static func split(_ message: String) throws(DFSError) -> (header: String, bare: String) {
    for header in [Scram.plainHeader, "y,,", Scram.boundHeader] where message.hasPrefix(header) {
      return (header, String(message.dropFirst(header.count)))
    }
    throw .violation("a SCRAM message with another channel binding or another identity")
  }
}
