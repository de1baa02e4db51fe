internal import DFSCore
internal import DFSReplication
internal import DFSStore
internal import DFSWire
internal import NIOCore
internal import Synchronization

/// The read lease of a connection.
extension SessionHandler {
  func perform(_ lease: Request.Lease, _ ticket: Ticket, _ logged: LoggedIn) {
    let store = logged.session.store
    do throws(DFSError) {
      if lease.step == .seen, let number = try sentPushes.workedOff(lease.pushes) {
        store.sawChanges(session, through: number)
      }
    } catch {
      window.end(ticket.weight, reserve: ticket.reserve)
      return refuse(error)
    }
    switch lease.step {
    case .seen: break
    case .asked: return grant(ticket, logged)
    case .givenUp:
      hasLease = false
      store.endLease(session)
    }
    answer(.pong(Reply.Pong(store.head())), to: ticket)
  }

  private func grant(_ ticket: Ticket, _ logged: LoggedIn) {
    guard let context else { return }
    guard let client = logged.client else {
      let text = "a lease on a connection that is not told of changes"
      return answer(.failed(Reply.Failed(DFSError(.protocolViolation, text))), to: ticket)
    }
    // From now on it has to say what it worked off.
    hasLease = true
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
    let store = logged.session.store
    let watch = leaseWatch ?? LeaseWatch(store: store, session: session, channel: context.channel)
    leaseWatch = watch
    store.grantLease(session, to: client) { result in
      watch.begin()
      let head = store.head()
      loop.execute { bound.value.granted(result.map { head }, ticket) }
    }
  }

  private func granted(_ result: Result<Head, any Error>, _ ticket: Ticket) {
    switch result {
    case .success(let head): finish(UserSession.Answer(reply: .pong(Reply.Pong(head))), ticket, nil)
    case .failure(let error):
      hasLease = false
      finish(UserSession.answer(error), ticket, nil)
    }
  }
}

/// Looks after the lease of a connection until that has ended; the connection may have ended before.
final class LeaseWatch: Sendable {
  private let store: UserStore
  private let session: SessionID
  private let channel: any Channel
  private let isLooking = Atomic(false)

  init(store: UserStore, session: SessionID, channel: any Channel) {
    (self.store, self.session, self.channel) = (store, session, channel)
  }

  /// There is a lease, or something to push to its holder, or its connection has ended.
  func begin() {
    guard !isLooking.exchange(true, ordering: .acquiringAndReleasing) else { return }
    channel.eventLoop.execute { self.look() }
  }

  private func look() {
    if !channel.isActive { store.disconnected(session) }
    // What comes from here on begins anew.
    isLooking.store(false, ordering: .releasing)
    guard let next = store.lookAtLease(session),
      !isLooking.exchange(true, ordering: .acquiringAndReleasing)
    else { return }
    let pause = TimeAmount(max(next - .now, .milliseconds(1)))
    channel.eventLoop.scheduleTask(in: pause) { self.look() }
  }
}
