internal import DFSCore
internal import DFSWire

/// What a connection may say until it is logged in, decided without I/O: hello, then SCRAM.
///
/// Invariants: each step comes once and in order; a wrong user name and a wrong password take the
/// same steps and end in the same answer.
struct Login {
  enum Action {
    case answer(Reply)
    /// Find the verifier of this name, which may be anything, and call `found`.
    case lookUp(name: String)
    /// Call `prove` after the attempt's turn has come.
    case attempt
    /// Open this user's store, then answer.
    case logIn(UserName, scram: String)
    /// Answer after a while, and close.
    case fail(DFSError)
    /// Answer and close.
    case refuse(DFSError)
  }

  private enum Phase {
    case greeting
    case naming
    case lookingUp(clientFirst: String)
    case proving(ScramServer, UserName?)
    case attempting(ScramServer, UserName?, clientFinal: String)
    case done
  }

  private let greeting: Reply.Greeting
  private var phase = Phase.greeting
  private(set) var hello: Request.Hello?
  /// What a login is to be bound to; nil on a connection that is not encrypted.
  var binding: ChannelBinding?
  /// What the password is checked against.
  private(set) var verifier: ScramVerifier?

  init(greeting: Reply.Greeting) { self.greeting = greeting }

  /// A request that came before login.
  mutating func receive(_ request: Request) -> Action {
    switch (phase, request) {
    case (.greeting, .hello(let hello)): receive(hello)
    case (.naming, .loginBegin(let begun)): begin(begun.scram)
    case (.proving(let scram, let user), .loginEnd(let ended)): end(scram, user, ended.scram)
    default:
      .refuse(DFSError(.protocolViolation, "say hello, then log in, then ask"))
    }
  }

  private mutating func receive(_ hello: Request.Hello) -> Action {
    if let refusal = refusal(of: hello) { return .refuse(refusal) }
    self.hello = hello
    phase = .naming
    return .answer(.greeting(greeting))
  }

  private func refusal(of hello: Request.Hello) -> DFSError? {
    guard hello.version == greeting.version else {
      return DFSError(
        .protocolViolation,
        "this server speaks version \(greeting.version) of the wire, the client "
          + "\(hello.version); run the same release on both")
    }
    guard hello.cluster == greeting.cluster, hello.server == greeting.server else {
      return DFSError(
        .configuration,
        "this is \(greeting.server) of cluster '\(greeting.cluster)', not "
          + "\(hello.server.shown(atMost: 64)) of '\(hello.cluster.shown(atMost: 64))'; correct Server "
          + "or Cluster in "
          + "the client's configuration")
    }
    if let theirs = hello.clusterID, let ours = greeting.clusterID, theirs != ours {
      return DFSError(
        .configuration,
        "this \(greeting.server) belongs to cluster \(ours.brief) (\"\(greeting.cluster)\"), the others to "
          + "\(theirs.brief); correct the Server line")
    }
    return nil
  }

  private mutating func begin(_ text: String) -> Action {
    do {
      let name = try ScramServer.userName(inClientFirst: text)
      phase = .lookingUp(clientFirst: text)
      return .lookUp(name: name)
    } catch {
      return .refuse(error)
    }
  }

  /// The verifier of the name that was looked up; user is nil if there is no such user.
  mutating func found(_ user: UserName?, _ verifier: ScramVerifier) -> Action {
    guard case .lookingUp(let clientFirst) = phase else { return .refuse(Self.disorder) }
    self.verifier = verifier
    var scram = ScramServer(verifier: verifier, binding: binding)
    do {
      let answer = try scram.first(clientFirst)
      phase = .proving(scram, user)
      return .answer(.loginContinue(Reply.LoginContinue(scram: answer)))
    } catch {
      return .refuse(error)
    }
  }

  private mutating func end(_ scram: ScramServer, _ user: UserName?, _ text: String) -> Action {
    phase = .attempting(scram, user, clientFinal: text)
    return .attempt
  }

  mutating func prove() -> Action {
    guard case .attempting(var scram, let user, let clientFinal) = phase else {
      return .refuse(Self.disorder)
    }
    phase = .done
    do {
      let answer = try scram.final(clientFinal)
      guard let user else { return .fail(Self.failure) }
      return .logIn(user, scram: answer)
    } catch {
      return error.code == .loginFailed ? .fail(Self.failure) : .refuse(error)
    }
  }

  private static let failure = DFSError(.loginFailed, "wrong user name or password")
  private static let disorder = DFSError(.protocolViolation, "a login out of order")
}
