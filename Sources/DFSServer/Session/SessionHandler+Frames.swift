internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import NIOCore

/// Large frames on their way in: what they take is accounted for before it is taken, and what takes
/// long is not done on the event loop, which other users share.
extension SessionHandler {
  /// A large frame of which something has come.
  struct ComingFrame {
    let bytes: Int
    /// Whether its bytes are accounted for; until then no more of it is read.
    var hasRoom = false
    var deadline: Scheduled<Void>?
  }

  // MARK: Frames that are not whole

  func begins(_ frame: UnfinishedFrame) {
    guard case .loggedIn = phase, coming == nil else { return }
    coming = ComingFrame(bytes: frame.bytes)
    takeRoom()
  }

  private func takeRoom() {
    guard let context, let load = window.user, var frame = coming, !frame.hasRoom else { return }
    guard load.admits(frame.bytes) else { return waitForRoom() }
    load.add(frame.bytes)
    frame.hasRoom = true
    let bytes = frame.bytes
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let seconds = service.options.frameSeconds
    frame.deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
      bound.value.refuse(
        DFSError(
          .timedOut, "a frame of \(bytes) bytes was not whole within \(seconds) s"))
    }
    coming = frame
    read(times: Reads.large)
    readAgain()
  }

  private func read(times reads: UInt) {
    // (That it cannot be set means that the channel is closed.)
    try? context?.channel.syncOptions?.setOption(.maxMessagesPerRead, value: reads)
  }

  /// The frame is whole, or never will be.
  func endComing() {
    guard let frame = coming else { return }
    coming = nil
    frame.deadline?.cancel()
    guard frame.hasRoom else { return }
    window.user?.add(-frame.bytes)
    read(times: Reads.usual)
  }

  /// Goes on when others of this user's requests have been answered.
  func waitForRoom() {
    guard let context, let load = window.user else { return }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
    load.wait(session) {
      loop.execute {
        bound.value.takeRoom()
        bound.value.admit()
      }
    }
  }

  // MARK: Large headers

  /// Has the first frame of the backlog decoded, as soon as the window has room for it; meanwhile
  /// those behind it wait, and nothing is read.
  func decode(_ frame: Frame, _ weight: Int) {
    guard case .loggedIn(let logged) = phase, let context, !isDecoding else { return }
    guard window.admits(weight) else { return waitForRoom() }
    isDecoding = true
    window.begin(weight)
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
    logged.session.store.compute({ frame.decoded }) { decoded in
      loop.execute { bound.value.decoded(decoded, weight) }
    }
  }

  private func decoded(_ frame: Frame, _ weight: Int) {
    isDecoding = false
    window.end(weight)
    guard !isOver, !backlog.isEmpty else { return }
    backlog[backlog.startIndex] = frame
    admit()
  }
}

/// How often a connection is read in one turn of its event loop.
enum Reads {
  /// A channel keeps its receive buffers while it is idle: one, and not a large one.
  static let usual: UInt = 1
  static let bufferBytes = 32 << 10
  /// While a large frame comes, whose bytes are accounted for: half a MiB a turn.
  static let large: UInt = 16
}
