internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Dispatch
internal import Synchronization

/// The requests of the kernel that wait for their answer, and the operations that have not ended.
///
/// The thread that brings a request runs its operation until that first suspends, so what is answered
/// from memory is answered without a change of thread; it may block on the local disk, never on a
/// server.
final class KernelRequests: Sendable {
  private static let tick = DispatchTimeInterval.milliseconds(100)

  private struct State {
    /// Those that wait for their answer.
    var pending: [UInt64: KernelRequest] = [:]
    /// Those whose operation has not ended, though it may have been answered: but for queries.
    var working: [UInt64: KernelRequest] = [:]
    var nextSerial: UInt64 = 1
    var isWatching = false
  }

  let fileSystem: FileSystem
  /// No operation takes longer without progress.
  let timeout: Duration
  private let state = Mutex(State())
  private let watch = DispatchQueue(label: "dfs.mount.watch")

  init(_ fileSystem: FileSystem, timeout: Duration) {
    self.fileSystem = fileSystem
    self.timeout = timeout
  }

  /// Performs an operation and answers it. It begins on this thread.
  func serve(
    _ channel: any RequestChannel, _ operation: Operation,
    about subject: KernelRequest.Subject? = nil,
    _ body: @escaping @Sendable (FileSystem, KernelRequest) async throws -> Reply
  ) {
    let request = begin(channel, operation, subject)
    fileSystem.looks.note(request.caller, asksFor: operation)
    request.started(
      Task.begun(thenOn: operation.isShort ? fileSystem.service.executor : nil) { [fileSystem] in
        do {
          let reply = try await body(fileSystem, request)
          fileSystem.looks.noteEnd(of: operation, by: request.caller)
          request.answer(reply)
        } catch {
          fileSystem.looks.noteEnd(of: operation, by: request.caller)
          request.answer(DFSError(anyError: error))
        }
        self.ended(request)
      })
  }

  /// Answers on this thread, if `body` can do so without waiting; then the answer hands out nothing.
  /// - Returns: false if it cannot: then the request is to be served.
  func answerNow(
    _ channel: some RequestChannel, _ operation: Operation,
    about subject: KernelRequest.Subject? = nil,
    _ body: (FileSystem) throws(DFSError) -> Reply?
  ) -> Bool {
    do throws(DFSError) {
      guard let reply = try body(fileSystem) else { return false }
      _ = channel.send(reply)
    } catch {
      channel.fail(fileSystem.note(error, of: operation, about: subject))
    }
    return true
  }

  private func begin(
    _ channel: any RequestChannel, _ operation: Operation, _ subject: KernelRequest.Subject?
  ) -> KernelRequest {
    let (request, startsWatch) = state.withLock { state in
      let request = KernelRequest(
        channel, serial: state.nextSerial, operation, about: subject, among: self)
      state.pending[state.nextSerial] = request
      if operation.isChange { state.working[state.nextSerial] = request }
      state.nextSerial += 1
      defer { state.isWatching = true }
      return (request, !state.isWatching)
    }
    if startsWatch { scheduleWatch() }
    return request
  }

  func finished(_ request: KernelRequest) {
    state.withLock { $0.pending[request.serial] = nil }
  }

  private func ended(_ request: KernelRequest) {
    if request.operation.isChange { state.withLock { $0.working[request.serial] = nil } }
  }

  /// Every tick, as long as any request waits.
  private func scheduleWatch() {
    watch.asyncAfter(deadline: .now() + Self.tick) {
      let pending = self.state.withLock { state in
        state.isWatching = !state.pending.isEmpty
        return Array(state.pending.values)
      }
      guard !pending.isEmpty else { return }
      let now = ContinuousClock.now
      for request in pending { request.check(now) }
      self.scheduleWatch()
    }
  }

  // MARK: Ending

  /// Whether any close, fsync or release is being performed, and makes progress.
  var storesGoOn: Bool { goesOn { $0.operation.effect != .change } }

  /// Whether anything is being changed, and makes progress.
  var changesGoOn: Bool { goesOn { _ in true } }

  private func goesOn(_ isMeant: (KernelRequest) -> Bool) -> Bool {
    let now = ContinuousClock.now
    return state.withLock { $0.working.values.contains { isMeant($0) && !$0.isLate(now) } }
  }

  /// Answers what was not answered when the file system is unmounted.
  func refuseRest() {
    let left = state.withLock { Array($0.pending.values) }
    for request in left { request.answer(DFSError(.cancelled, "the file system was unmounted")) }
  }
}
