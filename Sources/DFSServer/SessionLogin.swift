internal import DFSCore
internal import DFSStore
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
    case .attempt: attempt(ticket)
    case .logIn(let user, let scram): logIn(user, scram, ticket)
    case .fail(let error): fail(error, ticket)
    case .refuse(let error): refuse(error, to: ticket)
    }
  }

  /// The address without the port.
  private var peerAddress: String { context?.remoteAddress?.ipAddress ?? "unknown" }

  private func decide(_ ticket: Ticket, _ event: (inout Login) -> Login.Action) {
    guard case .login(var login) = phase else { return }
    let action = event(&login)
    phase = .login(login)
    perform(action, ticket)
  }

  private func lookUp(_ name: String, _ ticket: Ticket) {
    guard let context else { return }
    logger[metadataKey: "user"] = "\(name.printable)"
    let users = service.users
    service.threads.runIfActive(eventLoop: context.eventLoop) { try users.answer(for: name) }
      .assumeIsolated().whenComplete { result in
        switch result {
        case .success(let answer):
          self.decide(ticket) { $0.found(answer.user, answer.verifier) }
        case .failure(let error):
          self.logger.error("the users cannot be read: \(error)")
          self.refuse(
            DFSError(.inputOutput, "the server cannot read its users; see its log"), to: ticket)
        }
      }
  }

  private func attempt(_ ticket: Ticket) {
    let delay = service.throttle.delayOfAttempt(from: peerAddress, now: .now())
    after(delay) { $0.decide(ticket) { $0.prove() } }
  }

  private func fail(_ error: DFSError, _ ticket: Ticket) {
    let delay = service.throttle.delayOfFailure(from: peerAddress, now: .now())
    after(delay) { $0.refuse(error, to: ticket) }
  }

  private func after(
    _ delay: TimeAmount, _ body: @escaping @Sendable (SessionHandler) -> Void
  ) {
    guard let context else { return }
    guard delay > .zero else { return body(self) }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: delay) { body(bound.value) }
  }

  private func logIn(_ user: UserName, _ scram: String, _ ticket: Ticket) {
    guard let context, let pushes, case .login(let login) = phase else { return }
    let (service, session, hello) = (service, session, login.hello)
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
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
    guard case .login = phase else { return logged.leave() }
    window.user = logged.load
    bound.raise()
    phase = .loggedIn(logged)
    logger.debug("logged in")
    let namespace = logged.session.store.head().view.namespace
    send(.loginDone(scram: scram, namespace: namespace), to: ticket)
    pushWhatWaits()
  }

  func loginIsDue() {
    guard case .login = phase else { return }
    refuse(DFSError(.timedOut, "no login within \(service.options.loginSeconds) s"))
  }
}
