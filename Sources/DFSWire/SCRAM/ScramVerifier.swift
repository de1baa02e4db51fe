internal import Crypto
internal import CryptoExtras
public import DFSCore
internal import FoundationEssentials

/// What a server keeps of a password: enough to verify a login and to prove itself, not enough to
/// log in (RFC 5802, section 3). The text is PostgreSQL's:
/// `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, the last three in base64.
public struct ScramVerifier: Hashable, Sendable {
  /// Of new passwords. As many as keep the login of one `dfc` at four servers, each with a salt of its own,
  /// below 150 ms of processor time, on processors without instructions for SHA-256 too
  /// (docs/OPERATIONS.md has the figures).
  public static let defaultIterations = 100_000
  /// Of new passwords; RFC 7677 asks for at least 4,096, and those made earlier may have as few.
  public static let leastIterations = 15_000
  /// More would let a peer keep a processor busy for more than a second or so.
  public static let iterationsLimit = 1_000_000

  /// Rounds of PBKDF2 (RFC 8018): 1 to `iterationsLimit`.
  public let iterations: Int
  /// At least one byte; 16 for new passwords.
  public let salt: [UInt8]
  let storedKey: [UInt8]
  let serverKey: [UInt8]

  /// Takes a few milliseconds per thousand iterations.
  /// - Throws: `invalidArgument` if the iterations are not in 1…1,000,000 or the salt is empty.
  public init(
    password: String, salt: [UInt8] = ScramVerifier.randomSalt(),
    iterations: Int = ScramVerifier.defaultIterations
  ) throws(DFSError) {
    let salted = try Scram.salted(password: password, salt: salt, iterations: iterations)
    self.iterations = iterations
    self.salt = salt
    storedKey = Scram.hash(Scram.hmac(salted, "Client Key"))
    serverKey = Scram.hmac(salted, "Server Key")
  }

  /// A verifier that no password has, for users that do not exist: a stranger who asks for one
  /// gets the same salt each time, as if the user were there; another one with other iterations, as
  /// after a change of the password.
  /// - Parameter saltBytes: 1 to 32.
  public init(mockFor user: String, secret: [UInt8], iterations: Int, saltBytes: Int = 16) {
    self.iterations = iterations
    let salt = Scram.hmac(secret, "salt \(iterations) \(user)")
    self.salt = Array(salt.prefix(max(1, saltBytes)))
    storedKey = Scram.hmac(secret, "stored \(user)")
    serverKey = Scram.hmac(secret, "server \(user)")
  }

  /// Nil if the text is not of that form.
  public init?(text: String) {
    let fields = text.split(separator: "$", omittingEmptySubsequences: false)
    guard fields.count == 3, fields[0] == Scram.mechanism else { return nil }
    let parameters = fields[1].split(separator: ":", omittingEmptySubsequences: false)
    let keys = fields[2].split(separator: ":", omittingEmptySubsequences: false)
    guard parameters.count == 2, keys.count == 2,
      let iterations = Int(parameters[0]), (1...Self.iterationsLimit).contains(iterations),
      let salt = Scram.bytes(base64: parameters[1]), !salt.isEmpty,
      let storedKey = Scram.bytes(base64: keys[0]), storedKey.count == 32,
      let serverKey = Scram.bytes(base64: keys[1]), serverKey.count == 32
    else { return nil }
    self.iterations = iterations
    self.salt = salt
    self.storedKey = storedKey
    self.serverKey = serverKey
  }

  /// The verifier as PostgreSQL writes it; `init(text:)` reads it.
  public var text: String {
    "\(Scram.mechanism)$\(iterations):\(Scram.base64(salt))"
      + "$\(Scram.base64(storedKey)):\(Scram.base64(serverKey))"
  }

  /// 16 random bytes.
  public static func randomSalt() -> [UInt8] { Scram.random(bytes: 16) }

  /// A number from 0 to below 1 that belongs to a name under a secret; the same one each time.
  public static func draw(of user: String, secret: [UInt8]) -> Double {
    let bits = Scram.hmac(secret, "draw \(user)").prefix(4).reduce(UInt32(0)) {
      $0 << 8 | UInt32($1)
    }
    return Double(bits) / 4_294_967_296
  }

  /// The salt that belongs to a name under a secret; the same one each time.
  public static func salt(of user: String, secret: [UInt8]) -> [UInt8] {
    Array(Scram.hmac(secret, "salt \(user)").prefix(16))
  }
}

/// The primitives of SCRAM-SHA-256.
enum Scram {
  static let mechanism = "SCRAM-SHA-256"
  /// The GS2 headers (RFC 5802, section 7) without channel binding, and with it.
  static let plainHeader = "n,,"
  static let boundHeader = "p=\(ChannelBinding.name),,"

  static func header(_ binding: ChannelBinding?) -> String {
    binding == nil ? plainHeader : boundHeader
  }

  /// What `c=` says: the header and what the login is bound to.
  static func limit(_ header: String, _ binding: ChannelBinding?) -> String {
    base64(Array(header.utf8) + (binding?.bytes ?? []))
  }

  static func salted(
    password: String, salt: [UInt8], iterations: Int
  ) throws(DFSError) -> [UInt8] {
    guard (1...ScramVerifier.iterationsLimit).contains(iterations), !salt.isEmpty else {
      throw DFSError(
        .invalidArgument,
        "SCRAM with \(iterations) iterations and a salt of \(salt.count) bytes; the limits are 1 "
          + "to \(ScramVerifier.iterationsLimit), and one byte")
    }
    do {
      return try KDF.Insecure.PBKDF2.deriveKey(
        from: Array(prepared(password).utf8), salt: salt, using: .sha256, outputByteCount: 32,
        unsafeUncheckedRounds: iterations
      ).withUnsafeBytes { Array($0) }
    } catch {
      throw DFSError(.invalidArgument, "the password cannot be hashed", cause: error)
    }
  }

  /// The mapping step of SASLprep (RFC 4013): other spaces become a space, what is invisible goes.
  /// Unicode's compatibility forms are not folded: a password is the characters as typed.
  static func prepared(_ password: String) -> String {
    if password.utf8.allSatisfy({ $0 < 0x80 }) { return password }
    var text = String.UnicodeScalarView()
    for scalar in password.unicodeScalars {
      switch scalar.value {
      case 0xad, 0x34f, 0x1806, 0x180b...0x180d, 0x200b...0x200d, 0x2060, 0xfe00...0xfe0f, 0xfeff:
        continue
      case 0xa0, 0x1680, 0x2000...0x200a, 0x202f, 0x205f, 0x3000: text.append(" ")
      default: text.append(scalar)
      }
    }
    return String(text)
  }

  static func hmac(_ key: [UInt8], _ text: String) -> [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
  }

  static func hash(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

  static func xor(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { zip(left, right).map { $0 ^ $1 } }

  /// Compares without telling by its time where the difference is.
  static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && xor(left, right).reduce(0, |) == 0
  }

  static func random(bytes count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in generator.next() }
  }

  static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

  static func bytes(base64 text: some StringProtocol) -> [UInt8]? {
    Data(base64Encoded: String(text)).map { Array($0) }
  }

  /// The attributes of a message, which must have exactly these letters in this order; more after
  /// them (extensions) are ignored unless `m=` says that they are mandatory.
  static func attributes(
    _ message: some StringProtocol, _ letters: [Character]
  ) throws(DFSError) -> [String] {
    let fields = message.split(separator: ",", omittingEmptySubsequences: false)
    guard fields.count >= letters.count,
      zip(fields, letters).allSatisfy({ $0.first == $1 && $0.dropFirst().first == "=" })
    else {
      throw .violation("a SCRAM message that is not of the form of RFC 5802")
    }
    return fields.prefix(letters.count).map { String($0.dropFirst(2)) }
  }
}
