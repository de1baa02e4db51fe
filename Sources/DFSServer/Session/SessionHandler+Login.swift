internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import NIOCore
internal import NIOPosix

/// Performs what `Login` decides.
extension SessionHandler {
  func perform(_ action: Login.Action, _ ticket: Ticket) {
    switch action {
    case .answer(let reply): answer(reply, to: ticket)
    case .lookUp(let name): lookUp(name, ticket)
    // Never later: whoever guesses, the right password does not wait.
    case .attempt: decide(ticket) { $0.prove() }
    case .logIn(let user, let scram): logIn(user, scram, ticket)
    case .fail(let error): fail(error, ticket)
    case .refuse(let error): refuse(error, to: ticket)
    }
  }

  /// Whom a stranger counts as.
  var peerAddress: String { context?.remoteAddress?.strangerAddress ?? "unknown" }

  private func decide(_ ticket: Ticket, _ event: (inout Login) -> Login.Action) {
    guard case .login(var login) = phase else { return }
    let action = event(&login)
    phase = .login(login)
    perform(action, ticket)
  }

  private func lookUp(_ name: String, _ ticket: Ticket) {
    guard let context else { return }
    logger[metadataKey: "user"] = "\(name.shown(atMost: StrangerLog.nameLimit))"
    service.named(session, name)
    let users = service.users
    service.threads.runIfActive(eventLoop: context.eventLoop) { try users.answer(for: name) }
      .assumeIsolated().whenComplete { result in
        switch result {
        case .success(let answer):
          self.decide(ticket) { $0.found(answer.user, answer.verifier) }
        case .failure(let error):
          self.service.strangerLog.log(.error, "the users cannot be read: \(error)", self.logger)
          self.refuse(
            DFSError(.inputOutput, "the server cannot read its users; see its log"), to: ticket)
        }
      }
  }

  /// The answer to a wrong password waits, and is what this connection is there for from now on.
  private func fail(_ error: DFSError, _ ticket: Ticket) {
    guard let context else { return }
    auditFailedLogin()
    service.passwordWasWrong(session)
    let delay = service.throttle.delayOfFailure(from: peerAddress, now: .now())
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    deadline?.cancel()
    deadline = context.eventLoop.scheduleTask(in: delay) { bound.value.refuse(error, to: ticket) }
  }

  private func logIn(_ user: UserName, _ scram: String, _ ticket: Ticket) {
    guard let context, case .login(let login) = phase else { return }
    let (service, session, hello) = (service, session, login.hello)
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
    let pushes = PushQueue { loop.execute { bound.value.pushWhatWaits() } }
    self.pushes = pushes
    guard let verifier = login.verifier else { return }
    let member = UserLoad.Member(verifier: verifier) { reason in
      loop.execute { bound.value.refuse(reason) }
    }
    Task {
      do {
        let logged = try await service.logIn(
          user, session: session, hello: hello, pushes: pushes, member: member)
        loop.execute { bound.value.loggedIn(logged, scram, ticket) }
      } catch {
        let refusal =
          error as? DFSError
          ?? DFSError(.inputOutput, "the server cannot open the directory of \(user)", cause: error)
        loop.execute { bound.value.refuse(refusal, to: ticket) }
      }
    }
  }

  private func loggedIn(_ logged: LoggedIn, _ scram: String, _ ticket: Ticket) {
    guard case .login(let login) = phase else { return logged.leave() }
    window.user = logged.load
    phase = .loggedIn(logged)
    do throws(DFSError) { try service.admit(session) } catch { return refuse(error, to: ticket) }
    deadline?.cancel()
    deadline = nil
    limit.raise()
    auditLogin(login)
    let namespace = logged.session.store.head().view.namespace
    send(.loginDone(Reply.LoginDone(scram: scram, namespace: namespace)), to: ticket)
    pushWhatWaits()
  }

  func loginIsDue() {
    guard case .login = phase else { return }
    refuse(DFSError(.timedOut, "no login within \(service.options.loginSeconds) s"))
  }

  /// Ends at once, answered or not: its place is taken.
  func loseItsPlace() {
    guard isStranger, let context else { return }
    refuse(
      DFSError(
        .busy,
        "\(service.options.strangers) connections before login are open, the limit, and this one is "
          + "among the oldest; try again"))
    context.close(promise: nil)
  }
}
