import DFSCore
import Testing

@testable import DFSWire

@Suite struct ScramTests {
  /// RFC 7677, section 3.
  private static let clientNonce = "rOprNGfwEbeRWgbNEkqO"
  private static let serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
  private static let clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
  private static let serverFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
  private static let clientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    + "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
  private static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

  private static func verifier() throws -> ScramVerifier {
    let salt = try #require(Scram.bytes(base64: "W22ZaJ0SNY7soEsUEjb6gQ=="))
    return try ScramVerifier(password: "pencil", salt: salt, iterations: 4096)
  }

  @Test func theExampleOfTheRFC() throws {
    var client = ScramClient(user: "user", password: "pencil", nonce: Self.clientNonce)
    var server = ScramServer(verifier: try Self.verifier(), nonce: Self.serverNonce)
    #expect(client.first() == Self.clientFirst)
    #expect(try ScramServer.userName(inClientFirst: Self.clientFirst) == "user")
    #expect(try server.first(Self.clientFirst) == Self.serverFirst)
    #expect(try client.respond(to: Self.serverFirst) == Self.clientFinal)
    #expect(try server.final(Self.clientFinal) == Self.serverFinal)
    try client.verify(serverFinal: Self.serverFinal)
  }

  @Test(
    arguments: ["Alice", "a=b,c", "x@y.z", "日本"], ["SimplePassword", "", "pässwörd ☃", "a,b=c$:"])
  func loginWithTheRightPassword(user: String, password: String) throws {
    try Self.login(user, password, try ScramVerifier(password: password))
  }

  @Test func theTextIsOfPostgreSQLsForm() throws {
    let verifier = try Self.verifier()
    #expect(
      verifier.text == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        + "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    #expect(ScramVerifier(text: verifier.text) == verifier)
  }

  @Test(arguments: [
    "", "SCRAM-SHA-256", "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:$AAAA:AAAA",
    "SCRAM-SHA-256$0:QUJD$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    "SCRAM-SHA-256$4096:QUJD$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
    "SCRAM-SHA-256$4096:QUJD$AAAA:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    "SCRAM-SHA-256$4096:!$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
  ])
  func otherTextsAreNoVerifier(text: String) {
    #expect(ScramVerifier(text: text) == nil)
  }

  @Test func aWrongPasswordAndAMockedUserGetTheSameAnswer() throws {
    let mock = ScramVerifier(mockFor: "Nobody", secret: [1, 2, 3], iterations: 4096)
    #expect(mock == ScramVerifier(mockFor: "Nobody", secret: [1, 2, 3], iterations: 4096))
    #expect(mock.salt.count == ScramVerifier.randomSalt().count)
    for verifier in [try Self.verifier(), mock] {
      let error = #expect(throws: DFSError.self) { try Self.login("user", "wrong", verifier) }
      #expect(error == DFSError(.loginFailed, "wrong user name or password"))
    }
  }

  @Test func aServerThatDoesNotKnowTheVerifierIsFoundOut() throws {
    var client = ScramClient(user: "user", password: "pencil", nonce: Self.clientNonce)
    _ = client.first()
    #expect(throws: DFSError.self) { try client.verify(serverFinal: Self.serverFinal) }
    _ = try client.respond(to: Self.serverFirst)
    #expect(throws: DFSError.self) {
      try client.verify(serverFinal: "v=" + Scram.base64(Array(repeating: 0, count: 32)))
    }
  }

  @Test(arguments: [
    "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqO,s=QUJD,i=4096",
    "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4095", "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=1000001",
    "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "r=rOprNGfwEbeRWgbNEkqOx", "", "m=x,r=,s=,i=",
  ])
  func aClientRefusesThisFromAServer(text: String) {
    var client = ScramClient(user: "user", password: "pencil", nonce: Self.clientNonce)
    #expect(throws: DFSError.self) { try client.respond(to: text) }
  }

  @Test(arguments: ["", "p=tls-unique,,n=a,r=b", "n,a=x,n=a,r=b", "n,,r=b,n=a", "n,,n=a=2,r=b"])
  func aServerRefusesThisFromAClient(text: String) throws {
    #expect(throws: DFSError.self) { try ScramServer.userName(inClientFirst: text) }
  }

  @Test func theEndOfALoginComesOnceAndBelongsToItsBeginning() throws {
    var server = ScramServer(verifier: try Self.verifier(), nonce: Self.serverNonce)
    #expect(throws: DFSError.self) { try server.final(Self.clientFinal) }
    _ = try server.first(Self.clientFirst)
    let other = Self.clientFinal.replacing("biws", with: "eSws")
    #expect(throws: DFSError.self) { try server.final(other) }
    #expect(throws: DFSError.self) { try server.final(Self.clientFinal) }
  }

  @Test func theCacheHashesAPasswordOnce() throws {
    let cache = ScramCache()
    let clock = ContinuousClock()
    let salt = ScramVerifier.randomSalt()
    var first: [UInt8] = []
    let cold = try clock.measure {
      first = try cache.salted(password: "p", salt: salt, iterations: 100_000)
    }
    var second: [UInt8] = []
    let warm = try clock.measure {
      second = try cache.salted(password: "p", salt: salt, iterations: 100_000)
    }
    #expect(first == second)
    #expect(warm < cold)
  }

  // MARK: Channel binding

  private static let binding = ChannelBinding(bytes: Array(repeating: 7, count: 32))
  private static let other = ChannelBinding(bytes: Array(repeating: 8, count: 32))

  private static let strange: [(ChannelBinding?, ChannelBinding?, String)] = [
    (other, binding, "another certificate"), (binding, nil, "something between them relays"),
    (nil, binding, "must be bound to it"),
  ]

  private static func converse(
    client: ChannelBinding?, server: ChannelBinding?,
    _ change: (String) -> String = { $0 }
  ) throws {
    var scram = ScramClient(user: "user", password: "pencil", binding: client)
    var verifying = ScramServer(verifier: try verifier(), binding: server)
    let begin = change(scram.first())
    #expect(try ScramServer.userName(inClientFirst: begin) == "user")
    let end = try scram.respond(to: try verifying.first(begin))
    try scram.verify(serverFinal: try verifying.final(end))
  }

  @Test func aLoginIsBoundToTheCertificateThatBothSee() throws {
    try Self.converse(client: Self.binding, server: Self.binding)
    try Self.converse(client: nil, server: nil)
  }

  /// RFC 5802, section 7: `c=` has the header and the binding itself.
  @Test func theBindingIsInTheClientFinalMessage() throws {
    var client = ScramClient(
      user: "user", password: "pencil", binding: Self.binding, nonce: Self.clientNonce)
    #expect(client.first() == "p=tls-server-end-point,,n=user,r=\(Self.clientNonce)")
    let end = try client.respond(to: Self.serverFirst)
    let sent = Array("p=tls-server-end-point,,".utf8) + Self.binding.bytes
    #expect(end.hasPrefix("c=\(Scram.base64(sent)),r="))
  }

  /// A relay has a certificate of its own, or none: whatever it passes on, the login is refused, with the
  /// reason, before the proof is looked at.
  @Test(arguments: strange) func anotherBindingIsRefused(
    client: ChannelBinding?, server: ChannelBinding?, reason: String
  ) throws {
    let error = #expect(throws: DFSError.self) {
      try Self.converse(client: client, server: server)
    }
    #expect(error?.code == .notPermitted)
    #expect(error?.message.contains(reason) == true)
  }

  /// Saying that the server cannot bind, though it can, is a downgrade.
  @Test func aBindingIsNotTalkedAway() throws {
    #expect(throws: DFSError.self) {
      try Self.converse(client: nil, server: Self.binding) { "y" + $0.dropFirst() }
    }
    #expect(throws: DFSError.self) {
      try Self.converse(client: Self.binding, server: Self.binding) {
        $0.replacing("p=tls-server-end-point", with: "n")
      }
    }
    #expect(throws: DFSError.self) {
      try Self.converse(client: Self.binding, server: nil) {
        $0.replacing("p=tls-server-end-point", with: "n")
      }
    }
  }

  private static func login(_ user: String, _ password: String, _ verifier: ScramVerifier) throws {
    var client = ScramClient(user: user, password: password)
    var server = ScramServer(verifier: verifier)
    let begin = client.first()
    #expect(try ScramServer.userName(inClientFirst: begin) == user)
    let end = try client.respond(to: try server.first(begin))
    try client.verify(serverFinal: try server.final(end))
  }
}
