internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization

/// One copy on its way: a temporary file that is written piece by piece.
///
/// Invariants:
/// - Pieces are written in order, one at a time; one that comes early waits for its turn.
/// - Bytes are written only after they matched their checksums.
/// - The file is removed with the upload unless it was renamed into its place.
final class Upload: Sendable {
  private typealias Turn = CheckedContinuation<Void, any Error>

  private struct State {
    var next: UInt64 = 0
    var isBusy = false
    var failure: DFSError?
    var waiting: [UInt64: Turn] = [:]
    var checksums: [BlockChecksum] = []
    var file: File?
    /// Up to where the space of the file was taken in advance.
    var taken: UInt64 = 0
  }

  /// Pieces of one copy that may wait for an earlier one.
  private static let waitingPieces = 64
  private static let stepBytes: UInt64 = 16 << 20
  /// Space is taken in steps: as much again as has come, at least and at most so much.
  private static let spaceBytes: ClosedRange<UInt64> = 2 << 20...256 << 20

  let id: PartID
  let length: UInt64
  /// Counts the uploads of the user.
  let number: UInt64
  private let path: String
  private let state = Mutex(State())

  init(id: PartID, length: UInt64, number: UInt64 = 0, path: String) {
    self.id = id
    self.length = length
    self.number = number
    self.path = path
  }

  deinit { unlink(path) }

  /// Nothing was written yet, and nothing failed.
  var isUntouched: Bool {
    state.withLock { $0.next == 0 && !$0.isBusy && $0.failure == nil }
  }

  /// Bytes that have come, and are here.
  var bytes: UInt64 { state.withLock { $0.failure == nil ? $0.next : 0 } }

  /// Nothing of it is here; its pieces that still come are refused.
  var hasFailed: Bool { state.withLock { $0.failure != nil } }

  private enum Admission { case go, wait, fail(DFSError) }

  /// Waits until the piece at `offset` may be written.
  func takeTurn(_ extent: PartExtent) async throws {
    let offset = extent.offset
    try await withCheckedThrowingContinuation { (turn: Turn) in
      let admission = state.withLock { state -> Admission in
        let admission = admit(extent, state)
        if case .go = admission { state.isBusy = true }
        if case .wait = admission { state.waiting[offset] = turn }
        return admission
      }
      switch admission {
      case .go: turn.resume()
      case .wait: break
      case .fail(let error): turn.resume(throwing: error)
      }
    }
  }

  private func admit(_ extent: PartExtent, _ state: State) -> Admission {
    if let failure = state.failure { return .fail(failure) }
    guard extent.length == length else {
      return .fail(violation("it was begun with \(length) bytes and goes on with \(extent.length)"))
    }
    if extent.offset == state.next, !state.isBusy { return .go }
    guard extent.offset >= state.next, state.waiting[extent.offset] == nil,
      !(extent.offset == state.next && state.isBusy), state.waiting.count < Self.waitingPieces
    else {
      return .fail(
        violation("a piece at byte \(extent.offset) came where \(state.next) is the next"))
    }
    return .wait
  }

  /// Checks and writes the piece whose turn it is. On a thread that may block.
  /// - Returns: the layout, file and checksums of the whole copy, when this was the last piece.
  func write(
    _ extent: PartExtent, _ bytes: UnsafeRawBufferPointer
  ) throws(DFSError) -> (PartLayout, File, [BlockChecksum])? {
    let end = extent.offset + UInt64(bytes.count)
    try check(extent, bytes, end: end)
    let file = try openFile()
    if bytes.isZero {
      // A hole, since the file is new; what was taken in advance is given back.
      if extent.offset < state.withLock({ $0.taken }) {
        file.giveBack(extent.offset, UInt64(bytes.count))
      }
    } else {
      try takeSpace(in: file, at: extent.offset, upTo: end)
      try file.write(bytes, at: extent.offset)
    }
    // A long copy is on its way to the disk as it comes, so that a flush has little left to wait for.
    let (begun, now) = (extent.offset / Self.stepBytes, end / Self.stepBytes)
    if now > begun { file.beginWriting(begun * Self.stepBytes..<now * Self.stepBytes) }
    let checksums = state.withLock { state in
      state.checksums += extent.checksums
      return end == length ? state.checksums : []
    }
    guard end == length else { return nil }
    return (PartLayout(id: id, length: length), file, checksums)
  }

  private func check(
    _ extent: PartExtent, _ bytes: UnsafeRawBufferPointer, end: UInt64
  ) throws(DFSError) {
    guard extent.offset.isMultiple(of: UInt64(Limits.blockBytes)), end <= length,
      end == length || (bytes.count.isMultiple(of: Limits.blockBytes) && !bytes.isEmpty)
    else {
      throw violation(
        "a piece of \(bytes.count) bytes at \(extent.offset) is not made of whole blocks of "
          + "\(Limits.blockBytes) within \(length) bytes")
    }
    if let bad = Checksums.firstMismatch(bytes, extent.checksums) {
      throw DFSError(
        .damaged,
        "part \(id) arrived damaged: block \(bad) of the piece at byte \(extent.offset); send it again"
      )
    }
  }

  private func openFile() throws(DFSError) -> File {
    if let file = state.withLock({ $0.file }) { return file }
    let file = try File(path, flags: O_RDWR | O_CREAT | O_EXCL)
    state.withLock { $0.file = file }
    return file
  }

  /// Takes the space of what comes next, so that a full disk is told before the bytes are sent; not
  /// of all that comes, which may be holes.
  private func takeSpace(in file: File, at offset: UInt64, upTo end: UInt64) throws(DFSError) {
    guard length > UInt64(Limits.chunkBytes), end > state.withLock({ $0.taken }) else { return }
    let step = min(max(offset, Self.spaceBytes.lowerBound), Self.spaceBytes.upperBound)
    let taken = min(offset + step, PartLayout(id: id, length: length).fileBytes)
    try file.allocate(offset..<taken)
    state.withLock { $0.taken = taken }
  }

  /// The piece is written: the next one may go on.
  func endTurn(at end: UInt64) {
    state.withLock { state -> Turn? in
      state.next = end
      state.isBusy = false
      guard let turn = state.waiting.removeValue(forKey: end) else { return nil }
      state.isBusy = true
      return turn
    }?.resume()
  }

  /// Nothing more is written, and what was is removed; pieces that wait or come later get `error`.
  func fail(_ error: DFSError) {
    let waiting = state.withLock { state in
      if state.failure == nil { state.failure = error }
      defer { state.waiting = [:] }
      state.file = nil
      return state.waiting.values
    }
    unlink(path)
    waiting.forEach { $0.resume(throwing: error) }
  }

  private func violation(_ fact: String) -> DFSError {
    DFSError(.protocolViolation, "part \(id): \(fact)")
  }
}
