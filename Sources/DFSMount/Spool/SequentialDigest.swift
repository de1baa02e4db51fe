internal import DFSCore
internal import Foundation
internal import Synchronization

/// The MD5 of a spool, taken on the way while it is written from the front to the end.
///
/// A write claims its place in order (with the spool's lock held); its bytes are then hashed after
/// the kernel was answered, on the thread that has them, in the order of the claims. A write
/// anywhere else ends it: the MD5 is then computed when it is needed.
///
/// Invariant: whoever claimed will call `update` or `invalidate`, without suspending.
final class SequentialDigest: Sendable {
  private struct State {
    var isValid = true
    var claimed: UInt64 = 0
    var hasher = MD5Hasher()
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())
  private let advanced = NSCondition()

  /// Claims the place of a write, if it continues where the last one ended.
  func claim(_ offset: UInt64, _ count: Int) -> Bool {
    state.withLock { state in
      guard state.isValid, state.claimed == offset else {
        state.isValid = false
        return false
      }
      state.claimed += UInt64(count)
      return true
    }
  }

  /// Hashes what was claimed at `offset`, after all before it.
  func update(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    advanced.lock()
    while !isTurn(of: offset) { advanced.wait() }
    advanced.unlock()
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      if state.isValid { state.hasher.update(bytes) }
      return Self.caughtUp(&state)
    }
    wake(waiters)
  }

  /// The content is no longer what was hashed.
  func invalidate() {
    let waiters = state.withLock { state in
      state.isValid = false
      return Self.caughtUp(&state)
    }
    wake(waiters)
  }

  /// The MD5, if all of `size` bytes was hashed.
  func finish(size: UInt64) async -> MD5Digest? {
    await withCheckedContinuation { continuation in
      let isCaughtUp = state.withLock { state in
        let isCaughtUp = !state.isValid || state.hasher.count == state.claimed
        if !isCaughtUp { state.waiters.append(continuation) }
        return isCaughtUp
      }
      if isCaughtUp { continuation.resume() }
    }
    return state.withLock { state in
      state.isValid && state.claimed == size && state.hasher.count == size
        ? state.hasher.finish() : nil
    }
  }

  private func isTurn(of offset: UInt64) -> Bool {
    state.withLock { !$0.isValid || $0.hasher.count == offset }
  }

  private func wake(_ waiters: [CheckedContinuation<Void, Never>]) {
    advanced.lock()
    advanced.broadcast()
    advanced.unlock()
    for waiter in waiters { waiter.resume() }
  }

  private static func caughtUp(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
    guard !state.isValid || state.hasher.count == state.claimed else { return [] }
    defer { state.waiters = [] }
    return state.waiters
  }
}
