internal import CFuse
internal import DFSClient
internal import DFSCore
internal import Dispatch
internal import Foundation
internal import Glibc
internal import Logging
internal import Synchronization

/// The connection to the kernel: libfuse's session, the threads that read from it, and the requests
/// that wait for their answer. Only the files of this folder know libfuse.
///
/// A reading thread runs an operation until it first suspends, so what is answered from memory is
/// answered without a change of thread; it may block on the local disk, never on a server.
final class FuseSession: Sendable {
  private static let readers = 8
  private static let tick = DispatchTimeInterval.milliseconds(100)

  private struct State {
    /// Those that wait for their answer.
    var pending: [UInt64: FuseRequest] = [:]
    /// Those whose operation has not ended, though it may have been answered: but for queries.
    var working: [UInt64: FuseRequest] = [:]
    var nextSerial: UInt64 = 1
    var isWatching = false
    var readers = 0
    /// How many are telling the kernel something just now.
    var notifying = 0
    var ended: [CheckedContinuation<Void, Never>] = []
  }

  /// Unchecked: a libfuse session may be used from any thread until it is destroyed, in `deinit`.
  private struct RawSession: @unchecked Sendable { let pointer: OpaquePointer }

  let fileSystem: FileSystem
  let answers: FuseAnswers
  /// No operation takes longer without progress.
  let timeout: Duration
  let mountpoint: String
  let logger: Logger
  private let session = Mutex<RawSession?>(nil)
  private let state = Mutex(State())
  private let watch = DispatchQueue(label: "dfs.mount.watch")
  private let lateTelling = DispatchQueue(label: "dfs.mount.expire")

  init(_ fileSystem: FileSystem, _ configuration: MountConfiguration, logger: Logger) {
    self.fileSystem = fileSystem
    self.logger = logger
    answers = FuseAnswers(
      configuration.options, changes: { [service = fileSystem.service] in service.changes })
    timeout = .seconds(configuration.callTimeoutSeconds)
    mountpoint = configuration.mountpoint
  }

  // MARK: Beginning and ending

  /// Mounts and begins to answer.
  func start(options: String) throws(DFSError) {
    FuseLog.install(logger)
    var arguments = ["dfs-mount", "-o", options].map { strdup($0.systemPath) }
    defer { for argument in arguments { free(argument) } }
    let count = Int32(arguments.count)
    let raw = arguments.withUnsafeMutableBufferPointer { arguments in
      var list = fuse_args(argc: count, argv: arguments.baseAddress, allocated: 0)
      defer { fuse_opt_free_args(&list) }
      var operations = FuseCallbacks.table
      return fuse_session_new(
        &list, &operations, MemoryLayout<fuse_lowlevel_ops>.size,
        Unmanaged.passUnretained(self).toOpaque())
    }
    guard let raw else {
      throw DFSError(.configuration, "cannot begin to mount: \(FuseLog.last)")
    }
    // Who is not root mounts through fusermount3, which gives its reason on standard error.
    let (result, said) = ErrorCapture.during { fuse_session_mount(raw, mountpoint.systemPath) }
    guard result == 0 else {
      fuse_session_destroy(raw)
      throw DFSError(
        .inputOutput,
        "cannot mount on \(mountpoint.printable): \(said.isEmpty ? FuseLog.last : said)")
    }
    session.withLock { $0 = RawSession(pointer: raw) }
    startReaders(RawSession(pointer: raw))
    answers.expiresNames.store(expireNames(), ordering: .relaxed)
  }

  private func startReaders(_ raw: RawSession) {
    state.withLock { $0.readers = Self.readers }
    for index in 0..<Self.readers {
      let thread = Thread { self.readUntilEnd(raw) }
      thread.name = "dfs-fuse-\(index)"
      thread.stackSize = 1 << 20
      thread.start()
    }
  }

  private func readUntilEnd(_ raw: RawSession) {
    var buffer = fuse_buf()
    while fuse_session_exited(raw.pointer) == 0 {
      let count = fuse_session_receive_buf(raw.pointer, &buffer)
      if count == -EINTR { continue }
      if count <= 0 { break }
      dfs_accept_tmpfile(&buffer)
      fuse_session_process_buf(raw.pointer, &buffer)
    }
    free(buffer.mem)
    let waiters = state.withLock { state in
      state.readers -= 1
      guard state.readers == 0 else { return [] as [CheckedContinuation<Void, Never>] }
      defer { state.ended = [] }
      return state.ended
    }
    waiters.forEach { $0.resume() }
  }

  /// Returns when the file system is unmounted, by whomever.
  func untilUnmounted() async {
    await withCheckedContinuation { continuation in
      let isEnded = state.withLock { state in
        if state.readers > 0 { state.ended.append(continuation) }
        return state.readers == 0
      }
      if isEnded { continuation.resume() }
    }
  }

  /// The same, but not for ever: files that are open keep a session that was lazily unmounted.
  func untilUnmounted(within bound: Duration) async {
    let end = ContinuousClock.now + bound
    while state.withLock({ $0.readers }) > 0, ContinuousClock.now < end {
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Whether any close, fsync or release is being performed, and makes progress.
  var storesGoOn: Bool { goesOn { $0.kind != .change } }

  /// Whether anything is being changed, and makes progress.
  var changesGoOn: Bool { goesOn { _ in true } }

  private func goesOn(_ isMeant: (FuseRequest) -> Bool) -> Bool {
    let now = ContinuousClock.now
    return state.withLock { $0.working.values.contains { isMeant($0) && !$0.isLate(now) } }
  }

  /// Frees libfuse's session, after `untilUnmounted`. What was not answered never will be.
  func destroy() {
    let left = state.withLock { Array($0.pending.values) }
    for request in left { request.answer(DFSError(.cancelled, "the file system was unmounted")) }
    let raw = session.withLock { session in
      defer { session = nil }
      return session
    }
    // Who is left uses the session; it goes with the process.
    guard state.withLock({ $0.readers + $0.notifying }) == 0 else {
      _ = Unmanaged.passRetained(self)
      return
    }
    if let raw { fuse_session_destroy(raw.pointer) }
  }

  // MARK: Requests

  /// Performs an operation and answers it. It begins on this thread.
  func serve(
    _ raw: fuse_req_t?, _ name: StaticString, _ kind: FuseRequest.Kind,
    about subject: FuseRequest.Subject? = nil,
    _ operation: @escaping @Sendable (FileSystem, FuseRequest) async throws -> Reply
  ) {
    guard let raw else { return }
    let request = begin(RawRequest(pointer: raw), name, kind, subject)
    fileSystem.looks.note(request.caller, asksFor: name)
    request.started(
      Task.begun { [fileSystem] in
        do {
          let reply = try await operation(fileSystem, request)
          fileSystem.looks.noteEnd(of: name, by: request.caller)
          request.answer(reply)
        } catch {
          fileSystem.looks.noteEnd(of: name, by: request.caller)
          request.answer(DFSError(anyError: error))
        }
        self.ended(request)
      })
  }

  private func begin(
    _ raw: RawRequest, _ name: StaticString, _ kind: FuseRequest.Kind,
    _ subject: FuseRequest.Subject?
  ) -> FuseRequest {
    let (request, startsWatch) = state.withLock { state in
      let request = FuseRequest(
        raw, serial: state.nextSerial, name: name, kind: kind, subject: subject, session: self)
      state.pending[state.nextSerial] = request
      if kind != .query { state.working[state.nextSerial] = request }
      state.nextSerial += 1
      defer { state.isWatching = true }
      return (request, !state.isWatching)
    }
    if startsWatch { scheduleWatch() }
    return request
  }

  func finished(_ request: FuseRequest) {
    state.withLock { $0.pending[request.serial] = nil }
  }

  private func ended(_ request: FuseRequest) {
    if request.kind != .query { state.withLock { $0.working[request.serial] = nil } }
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

  // MARK: What the kernel is told

  /// Not from within an operation if it is about pages: the kernel may hold a lock until that is
  /// answered.
  func invalidate(_ id: InodeID, pages: Bool) {
    notify { _ = fuse_lowlevel_notify_inval_inode($0, id.value, pages ? 0 : -1, 0) }
  }

  /// Where the kernel can, by making it ask again for all names that it knows: that waits for
  /// nothing. Taking back a single name waits for the directory's lock, which may be held until
  /// this process answers; killed in that moment, it could never end, nor who waits for its answers.
  func invalidate(_ name: NodeName) {
    if expireNames() { return }
    notify { session in
      name.name.bytes.withUnsafeBytes { bytes in
        _ = fuse_lowlevel_notify_inval_entry(
          session, name.parent.value, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count)
      }
    }
  }

  /// The same from within an operation. A kernel that cannot expire names is told when it has the
  /// answer.
  func expire(_ name: NodeName) {
    if !expireNames() { lateTelling.async { self.invalidate(name) } }
  }

  /// Before an answer: the kernel is to ask again for names that are none any more.
  func tellNames(of reply: Reply, to caller: Caller) {
    switch reply {
    case .renamed(let name):
      fileSystem.looks.begin(caller)
      expire(name)
    case .entry(let entry), .created(let entry, _): if let name = entry.lost { expire(name) }
    default: break
    }
  }

  /// The same before an errno.
  func tellNames(after number: Int32, to caller: Caller) {
    guard number == ESTALE else { return }
    fileSystem.looks.begin(caller)
    _ = expireNames()
  }

  /// Makes the kernel ask again for all names that it knows.
  /// - Returns: false if it cannot do that.
  func expireNames() -> Bool {
    var isDone = false
    notify { isDone = dfs_expire_entries($0) == 0 }
    return isDone
  }

  /// The kernel is to ask again for an inode, or for all that it knows: an operation ended after it was
  /// answered in its place.
  func renew(_ subject: InodeID?) {
    lateTelling.async {
      if let subject { self.invalidate(subject, pages: false) } else { self.renewEverything() }
    }
  }

  func renewEverything() {
    let areExpired = expireNames()
    invalidate(.root, pages: false)
    for node in fileSystem.nodes.all {
      invalidate(node.id, pages: false)
      if let name = node.name, !areExpired { invalidate(name) }
    }
  }

  /// Before a file that was opened is read, the kernel asks for its size: the one that it was told
  /// last, or is just being told, may be that of another version. An answer that is older than this
  /// does not count for it any more.
  func renewSize(_ opened: Opened) {
    guard let file = try? fileSystem.handles.file(opened.handle).file else { return }
    invalidate(file.id, pages: false)
  }

  /// Not with a lock held: some of this waits.
  private func notify(_ body: (OpaquePointer) -> Void) {
    let raw = session.withLock { session in
      if session != nil { state.withLock { $0.notifying += 1 } }
      return session
    }
    guard let raw else { return }
    body(raw.pointer)
    state.withLock { $0.notifying -= 1 }
  }
}
