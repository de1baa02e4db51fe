internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Part files that were read lately, kept open with what their footers say: a read of a few bytes of one is then
/// no more than that. Of all users of a server together.
///
/// Invariants:
/// - At most `limit` files are kept open.
/// - No file is kept that was forgotten while it was being opened.
final class OpenPartFiles: Sendable {
  struct Part: Sendable {
    let file: File
    let identity: FileIdentity
    let layout: PartLayout
  }

  private struct State {
    var parts: [String: (part: Part, lastUse: UInt64)] = [:]
    var clock: UInt64 = 0
    /// Counts what was forgotten.
    var forgotten: UInt64 = 0
  }

  static let limit = 256
  private let state = Mutex(State())

  /// The file that is kept open under `path`.
  func part(_ path: String) -> Part? {
    state.withLock { state in
      guard let part = state.parts[path]?.part else { return nil }
      state.clock += 1
      state.parts[path]?.lastUse = state.clock
      return part
    }
  }

  /// To be asked before a file is opened that is to be kept.
  var mark: UInt64 { state.withLock { $0.forgotten } }

  /// Keeps a file open that was opened after `mark` was asked for.
  func keep(_ part: Part, at path: String, since mark: UInt64) {
    state.withLock { state in
      guard state.forgotten == mark else { return }
      state.clock += 1
      state.parts[path] = (part, state.clock)
      guard state.parts.count > Self.limit,
        let oldest = state.parts.min(by: { $0.value.lastUse < $1.value.lastUse })
      else { return }
      state.parts[oldest.key] = nil
    }
  }

  /// The file at `path` is removed or replaced: its space is to be free.
  func forget(_ path: String) {
    state.withLock { state in
      state.forgotten += 1
      state.parts[path] = nil
    }
  }
}
