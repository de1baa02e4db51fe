internal import CFuse
internal import DFSConfiguration
internal import DFSCore
internal import Foundation
internal import Glibc
internal import Logging
internal import Synchronization

/// The connection to the kernel: libfuse's session, and the threads that read from it. Only the files
/// of this folder know libfuse, and they only translate: what is asked and answered is decided by
/// `FileSystem`, what the kernel may keep by `KernelCache`.
final class FuseSession: Sendable {
  private static let readers = 8

  private struct State {
    var readers = 0
    /// How many are telling the kernel something just now.
    var notifying = 0
    var ended: [CheckedContinuation<Void, Never>] = []
  }

  /// Unchecked: a libfuse session may be used from any thread until it is destroyed, in `destroy`.
  private struct RawSession: @unchecked Sendable { let pointer: OpaquePointer }

  let requests: KernelRequests
  let answers: FuseAnswers
  private let kernel: KernelCache
  private let mountpoint: String
  private let logger: Logger
  private let session = Mutex<RawSession?>(nil)
  private let state = Mutex(State())

  init(_ requests: KernelRequests, _ configuration: MountConfiguration, logger: Logger) {
    self.requests = requests
    self.logger = logger
    kernel = requests.fileSystem.kernel
    answers = FuseAnswers(kernel, configuration.options.ownership)
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
    kernel.attach(self)
    startReaders(RawSession(pointer: raw))
    kernel.begin()
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
      RequestNumber.note(buffer)
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
  func untilUnmounted(within limit: Duration) async {
    let end = ContinuousClock.now + limit
    while state.withLock({ $0.readers }) > 0, ContinuousClock.now < end {
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Frees libfuse's session, after `untilUnmounted`. What was not answered never will be.
  func destroy() {
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
}

extension FuseSession: KernelNotifier {
  func drop(_ id: InodeID) {
    notify { _ = fuse_lowlevel_notify_inval_inode($0, id.value, -1, 0) }
  }

  func dropPages(of id: InodeID, _ bytes: Range<UInt64>?) {
    // Nothing is from the first byte to the last.
    let (offset, count) = bytes.map { (off_t($0.lowerBound), off_t($0.count)) } ?? (0, 0)
    notify { _ = fuse_lowlevel_notify_inval_inode($0, id.value, offset, count) }
  }

  func drop(_ name: NodeName) {
    notify { session in
      name.name.bytes.withUnsafeBytes { bytes in
        _ = fuse_lowlevel_notify_inval_entry(
          session, name.parent.value, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count)
      }
    }
  }

  func expireNames() -> Bool {
    var isDone = false
    notify { isDone = dfs_expire_entries($0) == 0 }
    return isDone
  }

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
