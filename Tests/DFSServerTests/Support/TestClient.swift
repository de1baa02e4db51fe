import DFSCore
import DFSTestSupport
import DFSWire
import NIOCore
import NIOPosix
import Synchronization

/// A client of one connection over a real socket, which does only what a test says.
final class TestClient: Sendable {
  struct Answer: Sendable {
    let reply: Reply
    let body: ByteBuffer?
  }

  let channel: any Channel
  private let mailbox: Mailbox
  private let nextID = Atomic<UInt64>(1)

  private init(channel: any Channel, mailbox: Mailbox) {
    self.channel = channel
    self.mailbox = mailbox
  }

  /// - Parameters:
  ///   - reads: whether what arrives is read from the beginning; else after `resume`.
  ///   - encryption: whether it speaks TLS.
  static func connect(
    port: Int, reads: Bool = true, encryption: Encryption = .off
  ) async throws -> TestClient {
    let mailbox = Mailbox()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.autoRead, value: reads)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let decoder = FrameDecoder(limit: FrameLimit(isLoggedIn: true))
          try channel.pipeline.syncOperations.addHandlers([
            ClientSecurity(encryption, pin: nil, peer: "the server"),
            ByteToMessageHandler(decoder), FrameEncoder(), InboxHandler(mailbox: mailbox),
          ])
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    return TestClient(channel: channel, mailbox: mailbox)
  }

  func pause() async throws { try await channel.setOption(.autoRead, value: false).get() }

  func resume() async throws {
    try await channel.setOption(.autoRead, value: true).get()
    channel.read()
  }

  /// Writes a request, without waiting for anything.
  @discardableResult
  func send(_ message: some RequestMessage, body: ByteBuffer? = nil) -> UInt64 {
    let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    channel.writeAndFlush(Frame(.request(id: id, message.request), body: body), promise: nil)
    return id
  }

  func answer(to id: UInt64, within limit: Duration = .seconds(20)) async throws -> Answer {
    try await eventually("an answer to request \(id)", within: limit) {
      mailbox.answer(to: id) != nil || mailbox.isClosed
    }
    guard let answer = mailbox.answer(to: id) else {
      throw DFSError(.disconnected, "closed without an answer; \(mailbox.answers)")
    }
    return answer
  }

  func hasAnswer(to id: UInt64) -> Bool { mailbox.answer(to: id) != nil }

  /// Asks and waits; `failed` is thrown.
  @discardableResult
  func ask<Message: RequestMessage>(
    _ message: Message, body: ByteBuffer? = nil, within limit: Duration = .seconds(20)
  ) async throws -> Message.Answer {
    let answer = try await answer(to: send(message, body: body), within: limit)
    return try Message.answer(in: answer.reply, by: "the server")
  }

  /// As `ask`, with the bytes that came.
  func askForBytes<Message: RequestMessage>(
    _ message: Message
  ) async throws -> (answer: Message.Answer, body: ByteBuffer?) {
    let answer = try await answer(to: send(message))
    return (try Message.answer(in: answer.reply, by: "the server"), answer.body)
  }

  /// The frames that came, without bodies, in order.
  var messages: [Message] { mailbox.messages }
  var pushes: [Push] {
    messages.compactMap { if case .push(let push) = $0 { push } else { nil } }
  }
  /// The answer to the connection as a whole.
  var refusal: DFSError? {
    if case .failed(let failed) = mailbox.answer(to: 0)?.reply { failed.error } else { nil }
  }
  var isClosed: Bool { mailbox.isClosed }
  /// What a login on this connection is bound to; nil before the handshake, and without one.
  var binding: ChannelBinding? { mailbox.binding }

  func close() async throws { try await channel.close() }

  // MARK: Login

  func hello(
    server: String = "DFS1", cluster: String = "default", version: UInt32 = Wire.version,
    client: ClientID = .random(), wantsPushes: Bool = false
  ) async throws {
    let hello = Request.Hello(
      version: version, cluster: cluster, server: server, client: client, wantsPushes: wantsPushes)
    try await ask(hello)
  }

  func logIn(
    _ user: String, _ password: String, cache: ScramCache = ScramCache(), isBound: Bool = true,
    within limit: Duration = .seconds(20)
  ) async throws {
    var scram = ScramClient(
      user: user, password: password, cache: cache, binding: isBound ? binding : nil)
    let challenge = try await ask(Request.LoginBegin(scram: scram.first()))
    let proof = Request.LoginEnd(scram: try scram.respond(to: challenge.scram))
    let done = try await ask(proof, within: limit)
    try scram.verify(serverFinal: done.scram)
  }

  /// Connects, says hello and logs in.
  static func loggedIn(
    port: Int, user: String = "Alice", password: String = "secret", client: ClientID = .random(),
    wantsPushes: Bool = false, cache: ScramCache = ScramCache()
  ) async throws -> TestClient {
    let connection = try await connect(port: port)
    try await connection.hello(client: client, wantsPushes: wantsPushes)
    try await connection.logIn(user, password, cache: cache)
    return connection
  }
}

/// What has arrived on one connection.
private final class Mailbox: Sendable {
  private struct State {
    var answers: [UInt64: TestClient.Answer] = [:]
    var messages: [Message] = []
    var isClosed = false
    var binding: ChannelBinding?
  }

  private let state = Mutex(State())

  func take(_ frame: Frame) {
    state.withLock { state in
      state.messages.append(frame.message)
      if case .reply(let id, let reply) = frame.message {
        state.answers[id] = TestClient.Answer(reply: reply, body: frame.body)
      }
    }
  }

  func close() { state.withLock { $0.isClosed = true } }
  func secured(_ event: ChannelSecured) { state.withLock { $0.binding = event.binding } }
  var binding: ChannelBinding? { state.withLock { $0.binding } }
  func answer(to id: UInt64) -> TestClient.Answer? { state.withLock { $0.answers[id] } }
  var answers: [UInt64: TestClient.Answer] { state.withLock { $0.answers } }
  var messages: [Message] { state.withLock { $0.messages } }
  var isClosed: Bool { state.withLock { $0.isClosed } }
}

private final class InboxHandler: ChannelInboundHandler {
  typealias InboundIn = Frame
  private let mailbox: Mailbox

  init(mailbox: Mailbox) { self.mailbox = mailbox }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    mailbox.take(Self.unwrapInboundIn(data))
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let secured = event as? ChannelSecured { mailbox.secured(secured) }
  }

  func channelInactive(context: ChannelHandlerContext) { mailbox.close() }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
