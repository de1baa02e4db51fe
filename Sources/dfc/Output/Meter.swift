import DFSCommandLine
import DFSCore
import DFSSystem
import Synchronization

/// Counts the bytes of a command and shows them in one bar, however many files and parts move at
/// once. Nothing is shown in the first second.
final class Meter: Sendable {
  private let state = Mutex(Progress())
  private let console: Console
  /// One file alone: each phase of it counts from nothing.
  private let isSingle: Bool
  private let ticker = Mutex<Task<Void, Never>?>(nil)
  /// Whether there is a bar: without one nobody needs to know how much is to move.
  let isShown: Bool

  /// - Parameters:
  ///   - isShown: whether there may be a bar at all.
  ///   - verb: what is done with many files.
  init(_ console: Console, isShown: Bool, isSingle: Bool, verb: String) {
    self.console = console
    self.isSingle = isSingle
    self.isShown = isShown && console.isErrorTerminal
    state.withLock { $0.phase = verb }
    guard self.isShown else { return }
    let task = Task { [weak self] in
      try? await Task.sleep(for: .seconds(1))
      while !Task.isCancelled, let self {
        self.draw()
        try? await Task.sleep(for: .milliseconds(200))
      }
    }
    ticker.withLock { $0 = task }
  }

  /// The bar goes, and does not come again.
  func end() {
    ticker.withLock { ticker in
      ticker?.cancel()
      ticker = nil
    }
    console.clearBar()
  }

  private func draw() {
    let width = console.width
    let line = state.withLock { progress in
      progress.sample(at: .now)
      return progress.line(width: width)
    }
    ticker.withLock { if $0 != nil { console.show(bar: line) } }
  }

  // MARK: What moves

  /// A file of `bytes` more is to move.
  func expect(_ bytes: UInt64, _ name: some CustomStringConvertible) {
    state.withLock { progress in
      // (A hostile server may tell any sizes.)
      progress.total = min(progress.total, .max - bytes) + bytes
      progress.files += 1
      progress.name = name.description
    }
  }

  func advance(_ bytes: Int) { state.withLock { $0.done += UInt64(bytes) } }

  /// So many bytes are done, of all.
  func reached(_ bytes: UInt64) { state.withLock { $0.done = bytes } }

  func finishFile() { state.withLock { $0.finishedFiles += 1 } }

  /// A step of one file begins: its bytes count from nothing. Of many files only the main step is
  /// counted.
  func begin(_ phase: String) {
    guard isSingle else { return }
    state.withLock { progress in
      progress.phase = phase
      progress.done = 0
      progress.samples = []
    }
  }

  /// Bytes of a step beside the main one.
  func advanceBeside(_ bytes: Int) { if isSingle { advance(bytes) } }

  /// Takes the bytes of one content that are done, counted from its beginning.
  func absolute() -> @Sendable (UInt64) -> Void {
    let last = Last()
    return { done in
      let step = last.step(to: done)
      self.advance(step)
    }
  }

  private final class Last: Sendable {
    private let value = Mutex<UInt64>(0)
    func step(to done: UInt64) -> Int {
      value.withLock { last in
        guard done > last else { return 0 }
        defer { last = done }
        return Int(done - last)
      }
    }
  }
}
