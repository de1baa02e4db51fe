internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// How a request is answered; `Fuse/` does it. It may be used until it has taken one answer.
protocol RequestChannel: Sendable {
  var caller: Caller { get }
  /// Whether the process that waits for the answer got a signal.
  var isInterrupted: Bool { get }

  /// Sends an errno.
  func fail(_ number: Int32)
  /// Sends any answer but a directory's.
  /// - Returns: whether the kernel took it.
  func send(_ reply: Reply) -> Bool
  /// As many items as fit, packed; and those items.
  func pack(_ page: DirectoryPage) -> (bytes: [UInt8], items: ArraySlice<DirectoryPage.Item>)
  /// - Returns: whether the kernel took it.
  func send(packed bytes: [UInt8]) -> Bool
}

/// One request of the kernel, from its arrival to its one answer: what the operation returns or
/// throws, or, if that comes first, that its time is over or its process was killed. The operation may
/// go on after such an answer: what follows on the same file waits for it in the file's `AsyncLock`, an
/// unmount in `KernelRequests.working`, and the kernel is made to ask again when it has ended.
final class KernelRequest: Sendable {
  private struct State {
    /// Nil once answered.
    var channel: (any RequestChannel)?
    var deadline: ContinuousClock.Instant
    var task: Task<Void, Never>?
  }

  let serial: UInt64
  let caller: Caller
  let operation: Operation
  /// What it is about.
  let subject: Subject?
  private let all: KernelRequests
  private let state: Mutex<State>

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
    _ channel: any RequestChannel, serial: UInt64, _ operation: Operation, about subject: Subject?,
    among all: KernelRequests
  ) {
    self.serial = serial
    self.operation = operation
    self.subject = subject
    self.all = all
    caller = channel.caller
    state = Mutex(State(channel: channel, deadline: .now + all.timeout))
  }

  /// Progress was made: the time begins anew.
  func extend() { state.withLock { $0.deadline = .now + all.timeout } }

  /// Whether it made no progress for too long.
  func isLate(_ now: ContinuousClock.Instant) -> Bool { state.withLock { now > $0.deadline } }

  func started(_ task: Task<Void, Never>) {
    state.withLock { if $0.channel != nil { $0.task = task } }
  }

  // MARK: The answer

  func answer(_ reply: Reply) {
    guard let channel = take() else {
      wasOvertaken()
      return all.fileSystem.wasNotDelivered(reply, counted: false)
    }
    all.fileSystem.deliver(reply, to: caller, over: channel)
  }

  func answer(_ error: DFSError) {
    guard let channel = take() else { return wasOvertaken() }
    all.fileSystem.deliver(error, of: operation, about: subject, to: caller, over: channel)
    // It may have happened, or may still happen.
    if error.code == .timedOut { wasOvertaken() }
  }

  /// The kernel has an answer that says nothing of what was changed.
  private func wasOvertaken() {
    if operation.effect == .change { all.fileSystem.kernel.renew(subject?.inode) }
  }

  private func take() -> (any RequestChannel)? {
    let channel = state.withLock { state in
      defer {
        state.channel = nil
        state.task = nil
      }
      return state.channel
    }
    if channel != nil { all.finished(self) }
    return channel
  }

  // MARK: Watching

  /// Answers in place of an operation whose time is over or whose process was killed.
  func check(_ now: ContinuousClock.Instant) {
    let effect = operation.effect
    guard effect != .end else { return }
    let (isLate, isInterrupted, task) = state.withLock { state in
      (now > state.deadline, state.channel?.isInterrupted ?? false, state.task)
    }
    if effect == .wait {
      guard isInterrupted else { return }
      task?.cancel()
    } else if isLate {
      let seconds = all.timeout.components.seconds
      answer(DFSError(.timedOut, "\(operation.name) was not answered in \(seconds) s"))
      task?.cancel()
    } else if isInterrupted || effect == .store, caller.isKilled {
      answer(DFSError(.cancelled, "the process was killed"))
      if effect != .store { task?.cancel() }
    }
  }
}
