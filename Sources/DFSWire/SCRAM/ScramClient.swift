public import DFSCore
internal import Synchronization

/// The client of SCRAM-SHA-256 and, on an encrypted connection, SCRAM-SHA-256-PLUS (RFC 5802 and
/// 7677): proves that it knows the password without sending it, and has the server prove that it
/// knows the verifier. With a channel binding both proofs hold for this connection only: a relay
/// has another certificate than the server, and so fails on both sides.
public struct ScramClient: Sendable {
  /// Fewer would make a stolen exchange too easy to guess from.
  private static let iterationsFloor = 4096

  private let user: String
  private let password: String
  private let nonce: String
  private let cache: ScramCache
  private let binding: ChannelBinding?
  private var expected: [UInt8]?

  /// - Parameter binding: of the encrypted connection; nil if it is not encrypted.
  public init(
    user: String, password: String, cache: ScramCache = ScramCache(),
    binding: ChannelBinding? = nil
  ) {
    self.init(
      user: user, password: password, cache: cache, binding: binding,
      nonce: Scram.base64(Scram.random(bytes: 18)))
  }

  init(
    user: String, password: String, cache: ScramCache = ScramCache(),
    binding: ChannelBinding? = nil, nonce: String
  ) {
    self.user = user
    self.password = password
    self.cache = cache
    self.binding = binding
    self.nonce = nonce
  }

  /// The client-first message.
  public mutating func first() -> String { Scram.header(binding) + bare }

  private var bare: String {
    var name = ""
    for character in user {
      switch character {
      case "=": name += "=3D"
      case ",": name += "=2C"
      default: name.append(character)
      }
    }
    return "n=\(name),r=\(nonce)"
  }

  /// The client-final message. Hashes the password unless the cache has it: some milliseconds.
  public mutating func respond(to serverFirst: String) throws(DFSError) -> String {
    let fields = try Scram.attributes(serverFirst, ["r", "s", "i"])
    guard fields[0].hasPrefix(nonce), fields[0].utf8.count > nonce.utf8.count,
      let salt = Scram.bytes(base64: fields[1]), let iterations = Int(fields[2])
    else { throw .violation("a SCRAM answer that does not belong to this login") }
    guard iterations >= Self.iterationsFloor else {
      throw .violation(
        "the server asks for \(iterations) iterations; the least is \(Self.iterationsFloor)")
    }
    let salted = try cache.salted(password: password, salt: salt, iterations: iterations)
    let withoutProof = "c=\(Scram.limit(Scram.header(binding), binding)),r=\(fields[0])"
    let authMessage = "\(bare),\(serverFirst),\(withoutProof)"
    let clientKey = Scram.hmac(salted, "Client Key")
    let proof = Scram.xor(clientKey, Scram.hmac(Scram.hash(clientKey), authMessage))
    expected = Scram.hmac(Scram.hmac(salted, "Server Key"), authMessage)
    return "\(withoutProof),p=\(Scram.base64(proof))"
  }

  /// - Throws: `protocolViolation` if the server does not know the password's verifier: it is not
  ///   the server that it says it is.
  public func verify(serverFinal: String) throws(DFSError) {
    let fields = try Scram.attributes(serverFinal, ["v"])
    guard let expected, let signature = Scram.bytes(base64: fields[0]),
      Scram.areEqual(signature, expected)
    else { throw .violation("the server could not prove that it knows this user") }
  }
}

/// Salted passwords by salt and iterations, so that a client that connects often (and to four
/// servers) hashes its password once. Holds few entries; one cache is for one password.
public final class ScramCache: Sendable {
  private struct Key: Hashable {
    let password: String
    let salt: [UInt8]
    let iterations: Int
  }

  private static let entriesLimit = 16
  private let entries = Mutex<[Key: [UInt8]]>([:])

  /// An empty cache; it gets an entry with each password that is hashed, 16 at most.
  public init() {}

  func salted(password: String, salt: [UInt8], iterations: Int) throws(DFSError) -> [UInt8] {
    let key = Key(password: password, salt: salt, iterations: iterations)
    if let known = entries.withLock({ $0[key] }) { return known }
    let salted = try Scram.salted(password: password, salt: salt, iterations: iterations)
    entries.withLock { entries in
      if entries.count >= Self.entriesLimit { entries.removeAll() }
      entries[key] = salted
    }
    return salted
  }
}
