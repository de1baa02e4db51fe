internal import CFuse
internal import DFSCore
internal import Synchronization

/// One operation of the kernel, from its arrival to its one answer: what the operation returns or
/// throws, or, if that comes first, that its time is over or its process was killed. The operation may
/// go on after such an answer: what follows on the same file waits for it in the file's `AsyncLock`, an
/// unmount in `FuseSession.working`, and the kernel is made to ask again when it has ended.
final class FuseRequest: Sendable {
  private struct State {
    /// Nil once answered: libfuse has freed it.
    var raw: RawRequest?
    var deadline: ContinuousClock.Instant
    var task: Task<Void, Never>?
  }

  let serial: UInt64
  let caller: Caller
  /// For people: `write`, `flush`…
  let name: StaticString
  let kind: Kind
  /// What it is about.
  let subject: Subject?
  private let session: FuseSession
  private let state: Mutex<State>

  enum Kind: Sendable {
    /// Changes nothing.
    case query
    case change
    /// Stores what was written, and goes on though its process be killed.
    case store
    /// Ends what was begun; nobody waits for its answer, and it is never answered before its end.
    case end
  }

  enum Subject: Sendable {
    case inode(InodeID)
    case name(InodeID, Result<FileName, DFSError>)
    case handle(UInt64, of: InodeID?)

    /// The inode that alone is changed; nil if names are, too.
    var inode: InodeID? {
      switch self {
      case .inode(let id): id
      case .handle(_, let id): id
      case .name: nil
      }
    }
  }

  init(
    _ raw: RawRequest, serial: UInt64, name: StaticString, kind: Kind, subject: Subject?,
    session: FuseSession
  ) {
    self.serial = serial
    self.name = name
    self.kind = kind
    self.subject = subject
    self.session = session
    caller = raw.caller
    state = Mutex(State(raw: raw, deadline: .now + session.timeout))
  }

  /// Progress was made: the time begins anew.
  func extend() { state.withLock { $0.deadline = .now + session.timeout } }

  /// Whether it made no progress for too long.
  func isLate(_ now: ContinuousClock.Instant) -> Bool { state.withLock { now > $0.deadline } }

  func started(_ task: Task<Void, Never>) {
    state.withLock { if $0.raw != nil { $0.task = task } }
  }

  // MARK: The answer

  func answer(_ reply: Reply) {
    guard let raw = take() else {
      wasOvertaken()
      return session.fileSystem.wasNotDelivered(reply, counted: false)
    }
    if case .directory(let page) = reply { return answer(page, raw) }
    if case .opened(let opened) = reply { session.renewSize(opened) }
    session.tellNames(of: reply, to: caller)
    session.fileSystem.willDeliver(reply)
    if !session.answers.send(reply, to: raw) {
      session.fileSystem.wasNotDelivered(reply, counted: true)
    }
  }

  func answer(_ error: DFSError) {
    guard let raw = take() else { return wasOvertaken() }
    let number = error.errno(isChange: kind != .query)
    session.note(error, number, isChange: kind != .query, name, subject)
    session.tellNames(after: number, to: caller)
    raw.fail(number)
    // It may have happened, or may still happen.
    if error.code == .timedOut { wasOvertaken() }
  }

  /// The kernel has an answer that says nothing of what was changed.
  private func wasOvertaken() {
    if kind == .change { session.renew(subject?.inode) }
  }

  private func answer(_ page: DirectoryPage, _ raw: RawRequest) {
    let nodes = session.fileSystem.nodes
    let (bytes, items) = session.answers.pack(page, for: raw)
    let entries = page.withAttributes ? items.filter { $0.entry != nil } : []
    for item in entries { nodes.remember(item.attributes.inode.id, as: item.entry) }
    guard !session.answers.send(bytes, to: raw) else { return }
    for item in entries { nodes.forget(item.attributes.inode.id, 1) }
  }

  private func take() -> RawRequest? {
    let raw = state.withLock { state in
      defer {
        state.raw = nil
        state.task = nil
      }
      return state.raw
    }
    if raw != nil { session.finished(self) }
    return raw
  }

  // MARK: Watching; see `FuseSession.watch`

  /// Answers in place of an operation whose time is over or whose process was killed.
  func check(_ now: ContinuousClock.Instant) {
    guard kind != .end else { return }
    let (isLate, isInterrupted, task) = state.withLock { state in
      let isInterrupted =
        if let raw = state.raw { fuse_req_interrupted(raw.pointer) != 0 } else { false }
      return (now > state.deadline, isInterrupted, state.task)
    }
    if isLate {
      answer(
        DFSError(
          .timedOut, "\(name) was not answered in \(session.timeout.components.seconds) s"))
      task?.cancel()
    } else if isInterrupted || kind == .store, caller.isKilled {
      answer(DFSError(.cancelled, "the process was killed"))
      if kind != .store { task?.cancel() }
    }
  }
}
