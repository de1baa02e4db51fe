import DFSCore
import NIOCore
import NIOEmbedded
import Testing

@testable import DFSWire

/// What a certificate binds a login to, and which connections may be plain.
@Suite struct SecurityTests {
  /// Signed by themselves, with ECDSA and SHA-256, ECDSA and SHA-384, RSA and SHA-1, and Ed25519.
  private static let p256 = """
    MIIBbzCCARWgAwIBAgIUEEbex/bhoiGY1XNBMt+ScRZUSiQwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBeDAgFw0yNjExMjky\
    MTU5MDVaGA8yMTA5MDExODIxNTkwNVowDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAWtkZdXl7Li\
    6QYPBIiNiBfPcb2GfeSoJda7JgEo4jPfhyM/psaYbNuH3DVhq5nHfpNWVziIK28x7992V5yCvSajUzBRMB0GA1UdDgQWBBRQ\
    M6wHqY41ifo3EJwfMk66F6QiKjAfBgNVHSMEGDAWgBRQM6wHqY41ifo3EJwfMk66F6QiKjAPBgNVHRMBAf8EBTADAQH/MAoG\
    CCqGSM49BAMCA0gAMEUCIQDIhv2l+sDI7dJdMjYeYZfGzQm0DusnBcb981XQOs5JsgIgR1wKPs+esiSkTxg+dCNEJs6OJ6kg\
    tUNpBOVjlZmG8S4=
    """
  private static let p384 = """
    MIIBrDCCATKgAwIBAgIUO4VHOFTIyEmF+eb5aeW3GJLphXIwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBeDAgFw0yNjExMjky\
    MTU5MDVaGA8yMTA5MDExODIxNTkwNVowDDEKMAgGA1UEAwwBeDB2MBAGByqGSM49AgEGBSuBBAAiA2IABNNg2X8ZrJH2SYAg\
    wHs65JcOsToA+oVK4pSKX++HeO6/AymKGcdjhRfg12ZVrFlDwwIjz9Jhz7JMRgTcMZuhAmOOILw9BnTIx+ahNBkZUjCB69Kl\
    KBrOnX8rNHwUPC6wYqNTMFEwHQYDVR0OBBYEFLO9BMRa2DuFbTSawWXOwr9gMxFoMB8GA1UdIwQYMBaAFLO9BMRa2DuFbTSa\
    wWXOwr9gMxFoMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwMDaAAwZQIxAI3EPx2/xW+MiexKFqLBYJb/YG29mDtlkv62\
    Lej359L8qv8yOq+L5LE97JSYqyqK3gIwHVt57wzRZtGdcGztZFiqBqa6DoMnWa5Hsi89TEk1UiBo57WWUdHWq9A2BSqfpSPj
    """
  private static let rsa = """
    MIIB9jCCAV+gAwIBAgIUGZORqw57N0WlGSaNuioCIEEc1hwwDQYJKoZIhvcNAQEFBQAwDDEKMAgGA1UEAwwBeDAgFw0yNjEx\
    MjkyMTU5MDZaGA8yMTA5MDExODIxNTkwNlowDDEKMAgGA1UEAwwBeDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAzZNn\
    jDiJkvEjc+z20s4pzUZ+0SuIL6TtC1/SXKhmUUHazs9wC1gMIfE8a8Pzg1ljNAofMLidNtxCteYXwsE/QIgGPfijsCUSEe78\
    y5OgWNkIpj6GuMVYQTdezV5QBCSs3AigMbw/RuQF7WnkMoHQ2TM5jkkUbi+T9bwb+QogKZcCAwEAAaNTMFEwHQYDVR0OBBYE\
    FP3ZqF7QEodwETnBBLfVEg1NStRzMB8GA1UdIwQYMBaAFP3ZqF7QEodwETnBBLfVEg1NStRzMA8GA1UdEwEB/wQFMAMBAf8w\
    DQYJKoZIhvcNAQEFBQADgYEAOee71efbDGSwP/8XlpMu2HK2HjGxLziU65T+w9Xgl8XSh6DUbIAOUi3RWntdouZdtwkQQAkC\
    Lh4in8J+nXFydY7HLLOTZtjpXGarlzMvoO/kjShJw28+4ecejrIirrqFcVsOKbZBEmZlLVzweD0uKWckr3dOsAERmITT6CkX\
    K5c=
    """
  private static let ed25519 = """
    MIIBLjCB4aADAgECAhQBAiVX4V0xn/TmvDuhAOYm8yCvHDAFBgMrZXAwDDEKMAgGA1UEAwwBeDAgFw0yNjExMjkyMTU5MDVa\
    GA8yMTA5MDExODIxNTkwNVowDDEKMAgGA1UEAwwBeDAqMAUGAytlcAMhAFQAYB/5CS+EGs3gEYT+pP1FOpx4EUC+hv+VXFEd\
    cxhio1MwUTAdBgNVHQ4EFgQULXNtsP5JutWqJzfW1uQVQEoyq9gwHwYDVR0jBBgwFoAULXNtsP5JutWqJzfW1uQVQEoyq9gw\
    DwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQDryIyo6AspNcYNYZ8f59WdUiwdKVNKAD3/QtL5iREtTLzn00WrvvLIdHE2K59q\
    TEdh75jZ8TNM+vqqxq0DgTgA
    """

  private static func bytes(_ certificate: String) throws -> [UInt8] {
    try #require(Scram.bytes(base64: certificate))
  }

  /// The values are `openssl dgst` of the certificates.
  @Test(arguments: [
    (p256, "d808d3b2816513453bd4ae866f4d0d3fe4919b42484719c19cf917b424a990aa"),
    (
      p384,
      "79348ecc5c6cbb1f7562011ef16f75043f4c216193a7ce099657e3e6c895bbe9afbff1b944e5bb93cb2d662f396f083f"
    ),
    (rsa, "fac80d9ed479941f93f4419207239f1bf5d11c4f3650b1c945e8f071b7d57d5b"),
  ])
  func theBindingIsTheHashOfTheSignature(certificate: String, digest: String) throws {
    let binding = try ChannelBinding(certificate: Self.bytes(certificate))
    #expect(binding.bytes.hexadecimal == digest)
  }

  @Test func aCertificateWithoutBindingIsRefused() throws {
    let error = #expect(throws: DFSError.self) {
      try ChannelBinding(certificate: Self.bytes(Self.ed25519))
    }
    #expect(error?.message.contains("no login can be bound") == true)
  }

  /// A hostile server sends what it likes.
  @Test func whatIsNoCertificateIsRefused() throws {
    let whole = try Self.bytes(Self.p256)
    for length in stride(from: 0, to: whole.count - 1, by: 7) {
      #expect(throws: DFSError.self) {
        try ChannelBinding(certificate: Array(whole.prefix(length)))
      }
    }
    for place in 0..<whole.count {
      var changed = whole
      changed[place] = 0xff
      // Whatever comes of it, it ends.
      _ = try? ChannelBinding(certificate: changed)
    }
  }

  @Test func aCertificateAndAKeyMustBeThere() {
    #expect(throws: DFSError.self) { try TLSIdentity(certificates: [], key: []) }
    #expect(throws: DFSError.self) {
      try TLSIdentity(certificates: Array("x".utf8), key: Array("y".utf8))
    }
  }

  // MARK: Which connections may be plain

  private static func identity() throws -> TLSIdentity {
    let lines = p256.split(every: 64).joined(separator: "\n")
    let certificate = "-----BEGIN CERTIFICATE-----\n\(lines)\n-----END CERTIFICATE-----\n"
    return try TLSIdentity(certificates: Array(certificate.utf8), key: Array(key.utf8))
  }

  /// Of the first certificate, and of nothing else.
  private static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgn/mz+MeQNZ24nyVw
    tszlGU3MGw4bfIfmhv1EsLKxAmuhRANCAAQFrZGXV5ey4ukGDwSIjYgXz3G9hn3k
    qCXWuyYBKOIz34cjP6bGmGzbh9w1YauZx36TVlc4iCtvMe/fdlecgr0m
    -----END PRIVATE KEY-----
    """

  private final class Events: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    var secured: [ChannelSecured] = []
    var errors: [any Error] = []
    var bytes = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      bytes.writeImmutableBuffer(Self.unwrapInboundIn(data))
    }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if let event = event as? ChannelSecured { secured.append(event) }
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }
  }

  private func connected(
    from address: String, allowsPlaintext: Bool = false
  ) throws -> (EmbeddedChannel, Events) {
    let events = Events()
    let channel = EmbeddedChannel()
    channel.remoteAddress = try SocketAddress(ipAddress: address, port: 40000)
    try channel.pipeline.syncOperations.addHandlers([
      ServerSecurity(try Self.identity(), allowsPlaintext: allowsPlaintext), events,
    ])
    channel.pipeline.fireChannelActive()
    return (channel, events)
  }

  @Test(arguments: [
    ("127.0.0.1", false), ("127.9.9.9", false), ("::1", false), ("::ffff:127.0.0.1", false),
    ("192.0.2.1", true), ("2001:db8::1", true),
  ])
  func theseMayBePlain(address: String, isAllowed: Bool) throws {
    let (channel, events) = try connected(from: address, allowsPlaintext: isAllowed)
    let frame = ByteBuffer(bytes: [0, 0, 0, 8, 1, 2, 3])
    try channel.writeInbound(frame)
    #expect(events.secured.count == 1)
    #expect(events.secured.first?.binding == nil)
    #expect(events.bytes == frame)
    #expect(events.errors.isEmpty)
    _ = try? channel.finish(acceptAlreadyClosed: true)
  }

  @Test(arguments: ["192.0.2.1", "10.127.0.1", "2001:db8::1", "::ffff:192.0.2.1", "::127.0.0.1"])
  func theseMayNot(address: String) throws {
    let (channel, events) = try connected(from: address)
    try channel.writeInbound(ByteBuffer(bytes: [0, 0, 0, 8, 1, 2, 3]))
    try channel.writeInbound(ByteBuffer(bytes: [4, 5, 6]))
    #expect(events.secured.isEmpty)
    #expect(events.bytes.readableBytes == 0)
    let error = events.errors.first as? DFSError
    #expect(error?.message.contains("over encrypted connections only") == true)
    // The reason itself goes out plain, for those who can read nothing else.
    try channel.writeOutbound(ByteBuffer(string: "because"))
    #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "because"))
    _ = try? channel.finish(acceptAlreadyClosed: true)
  }

  /// What is said before the peer has spoken is not said in plain text.
  @Test func aRefusalWaitsForTheHandshake() throws {
    let (channel, events) = try connected(from: "192.0.2.1")
    channel.writeAndFlush(ByteBuffer(string: "too many"), promise: nil)
    #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
    try channel.writeInbound(ByteBuffer(bytes: [22, 3, 1]))
    #expect(events.secured.first?.binding?.bytes.count == 32)
    #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
    _ = try? channel.finish(acceptAlreadyClosed: true)
  }

  @Test func aConnectionThatEndsKeepsNothing() throws {
    let (channel, _) = try connected(from: "192.0.2.1")
    let promise = channel.eventLoop.makePromise(of: Void.self)
    channel.writeAndFlush(ByteBuffer(string: "too many"), promise: promise)
    _ = try? channel.finish(acceptAlreadyClosed: true)
    #expect(throws: (any Error).self) { try promise.futureResult.wait() }
  }
}

extension String {
  fileprivate func split(every count: Int) -> [Substring] {
    var rest = self[...]
    var pieces: [Substring] = []
    while !rest.isEmpty {
      pieces.append(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    return pieces
  }
}
