internal import DFSConfiguration
internal import DFSCore
internal import DFSWire

/// The conversation that opens a connection: hello, then SCRAM-SHA-256 (-PLUS if it is encrypted). Each event returns what is
/// to be done; hashing the password (`prove`) is done off the event loop.
struct ConnectionLogin {
  enum Phase {
    /// Hello is sent.
    case greeting
    /// The client-first message is sent.
    case challenge(ScramClient)
    /// The proof is being computed.
    case proving
    /// The client-final message is sent.
    case verdict(ScramClient)
    case ended
  }

  enum Action {
    case send(Request)
    case prove(ScramClient, challenge: String)
    case ready(Reply.Greeting, NamespaceID?)
    case fail(DFSError)
  }

  /// How the server is called in messages: `DFS2 (127.0.0.1:10002)`.
  let peer: String
  let hello: Request.Hello
  let credentials: Credentials
  let cache: ScramCache
  private(set) var phase = Phase.greeting
  private var greeting: Reply.Greeting?
  /// Nil on a connection that is not encrypted.
  var binding: ChannelBinding?

  init(peer: String, hello: Request.Hello, credentials: Credentials, cache: ScramCache) {
    self.peer = peer
    self.hello = hello
    self.credentials = credentials
    self.cache = cache
  }

  mutating func replied(_ reply: Reply) -> Action {
    switch (phase, reply) {
    case (_, .failed(let failed)): return refused(failed.error)
    case (.greeting, .greeting(let greeting)): return greeted(greeting)
    case (.challenge(let scram), .loginContinue(let challenge)):
      phase = .proving
      return .prove(scram, challenge: challenge.scram)
    case (.verdict(let scram), .loginDone(let done)):
      return verified(scram, done.scram, done.namespace)
    default:
      return end(DFSError(.protocolViolation, "\(peer) answered out of turn while logging in"))
    }
  }

  mutating func proved(_ proof: Result<(ScramClient, String), DFSError>) -> Action? {
    guard case .proving = phase else { return nil }
    switch proof {
    case .success(let (scram, message)):
      phase = .verdict(scram)
      return .send(.loginEnd(Request.LoginEnd(scram: message)))
    case .failure(let error): return end(error)
    }
  }

  private mutating func greeted(_ greeting: Reply.Greeting) -> Action {
    if let problem = mismatch(greeting) { return end(DFSError(.configuration, problem)) }
    self.greeting = greeting
    var scram = ScramClient(
      user: credentials.user.text, password: credentials.password, cache: cache,
      binding: binding)
    let first = scram.first()
    phase = .challenge(scram)
    return .send(.loginBegin(Request.LoginBegin(scram: first)))
  }

  private func mismatch(_ greeting: Reply.Greeting) -> String? {
    if greeting.version != hello.version {
      return "\(peer) speaks version \(greeting.version) of the protocol; this program speaks "
        + "\(hello.version)"
    }
    if greeting.server != hello.server {
      return "\(peer) says it is \(greeting.server), the configuration says \(hello.server)"
    }
    if greeting.cluster != hello.cluster {
      return
        "\(peer) belongs to the cluster '\(ServerText.shown(greeting.cluster))', the configuration "
        + "says '\(hello.cluster.printable)'"
    }
    if let theirs = greeting.clusterID, let ours = hello.clusterID, theirs != ours {
      return
        "\(peer) belongs to cluster \(theirs.brief) (\"\(ServerText.shown(greeting.cluster))\"), the others to "
        + "\(ours.brief); correct the Server line"
    }
    return nil
  }

  private mutating func verified(
    _ scram: ScramClient, _ message: String, _ namespace: NamespaceID?
  ) -> Action {
    do throws(DFSError) {
      try scram.verify(serverFinal: message)
    } catch {
      return end(error)
    }
    guard let greeting else {
      return end(DFSError(.protocolViolation, "\(peer) ended a login that was not begun"))
    }
    phase = .ended
    return .ready(greeting, namespace)
  }

  private mutating func refused(_ error: DFSError) -> Action {
    guard error.code == .loginFailed else { return end(.refusal(by: peer, error)) }
    return end(DFSError(.loginFailed, "Invalid Username/Password. Please try again."))
  }

  private mutating func end(_ error: DFSError) -> Action {
    phase = .ended
    return .fail(error)
  }
}

extension DFSError {
  /// Why a server does not let a user in.
  /// - Parameter others: the servers that do.
  static func refused(
    _ user: UserName, by peer: String, acceptedBy others: ServerSet
  ) -> DFSError {
    guard !others.isEmpty else {
      return DFSError(.loginFailed, "Invalid Username/Password. Please try again.")
    }
    let names = others.servers.map(\.description)
    let list =
      (names.count > 1 ? names.dropLast().joined(separator: ", ") + " and " : "")
      + (names.last ?? "")
    return DFSError(
      .loginFailed,
      "\(peer) refuses user \(user): wrong user name or password, while \(list) "
        + "\(names.count > 1 ? "accept" : "accepts") them; make the account the same there: "
        + "dfs user add \(user), or dfs user passwd \(user), with --users and its users file")
  }

  /// Why a server does not serve this user at all: to whoever asks it, it is down. What is wrong with
  /// its disk says nothing about a copy that it was asked for.
  static func refusal(by peer: String, _ error: DFSError) -> DFSError {
    switch error.code {
    case .loginFailed, .configuration, .protocolViolation, .timedOut, .cancelled: error
    default: DFSError(.disconnected, "\(peer) does not serve this user: \(error)")
    }
  }
}
