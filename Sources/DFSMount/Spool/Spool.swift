internal import DFSClient
internal import DFSCore
internal import Synchronization

/// The local content of a file that is being written: in memory while small, then in an unlinked,
/// sparse file; bounded by the budget, in which it counts with the space that it takes. Holes take
/// none (Spool+Ranges.swift makes them). It may lie over a published version, which has all that was not
/// written since (Below.swift).
///
/// Every call may block on the disk, and may come from any thread. Who publishes a spool, truncates
/// it or makes holes in it keeps writers out meanwhile (`AsyncLock`).
final class Spool: Sendable {
  struct State {
    var size: UInt64 = 0
    /// The content, as long as there is no file; it reads as zeros from its end up to `size`.
    var memory: [UInt8] = []
    var file: SpoolFile?
    /// The version that the content was made from; nil if there was none, or its bytes do not matter.
    var origin: Version?
    /// The file that it is of, if that is another.
    var originFile: InodeID?
    /// That version and what is missing here; nil once nothing is.
    var below: Below?
    /// What was done since it was published.
    var changes: SpoolChanges
    /// Bytes that the file takes on the disk.
    var allocated: UInt64 = 0
    /// Bytes that the writes under way may add to that.
    var reserved: UInt64 = 0
    var digest = SequentialDigest()

    /// What the budget was charged for the file.
    var charged: UInt64 { allocated + reserved }

    init(over version: Version?) {
      origin = version
      changes = SpoolChanges(since: version?.size ?? 0)
      guard let version, version.size > 0 else { return }
      size = version.size
      below = Below(version)
    }
  }

  /// What writing bytes means: they are as they were published, or new.
  enum Change { case none, written, appended }

  /// A write whose bytes are still to be hashed.
  struct Unhashed: Sendable {
    fileprivate let digest: SequentialDigest
    fileprivate let offset: UInt64

    func hash(_ bytes: UnsafeRawBufferPointer) { digest.update(bytes, at: offset) }
  }

  let budget: SpoolBudget
  let state: Mutex<State>

  /// - Parameter version: what the content is until it is written; nil for an empty one.
  init(budget: SpoolBudget, over version: Version? = nil) {
    self.budget = budget
    state = Mutex(State(over: version))
  }

  deinit {
    state.withLock { state in
      _ = budget.charge(memory: state.memory.count, to: 0)
      budget.correct(disk: state.charged, to: 0)
    }
  }

  /// Bytes.
  var size: UInt64 { state.withLock { $0.size } }
  /// The version that the content was made from.
  var origin: Version? { state.withLock { $0.origin } }

  /// Bytes of the content that are no holes, or more.
  var storedBytes: UInt64 {
    state.withLock { state in
      guard state.file != nil else { return state.size }
      return state.allocated + (state.below?.missing.ranges.byteCount ?? 0)
    }
  }

  // MARK: Writing

  /// Writes `bytes`; fewer of them only if the disk became full on the way.
  /// - Parameters:
  ///   - offset: nil for the end.
  ///   - keepsHoles: zeros behind the end need not be written, and nobody else writes just now.
  /// - Returns: how many were written, and what must be done with the same bytes next, if anything.
  func write(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?, keepsHoles: Bool = false
  ) throws(DFSError) -> (count: Int, unhashed: Unhashed?) {
    let step = try state.withLock { state throws(DFSError) in
      try self.placeWrite(bytes, at: offset, &state)
    }
    guard let file = step.file else { return (bytes.count, step.unhashed) }
    var done = 0
    defer {
      let written = step.offset..<step.offset + UInt64(done)
      let change: Change = offset == nil ? .appended : .written
      correct(file, step.reserved, written: written, change)
    }
    do throws(DFSError) {
      if keepsHoles, step.offset >= step.oldSize, bytes.isZero {
        try file.truncate(to: step.offset + UInt64(bytes.count))
        done = bytes.count
      } else {
        try file.write(bytes, at: step.offset, &done)
      }
    } catch {
      step.unhashed?.digest.invalidate()
      guard done > 0 else { throw error }
      return (done, nil)
    }
    return (done, step.unhashed)
  }

  private struct Step: Sendable {
    let offset: UInt64
    let oldSize: UInt64
    let unhashed: Unhashed?
    let reserved: UInt64
    /// Where the bytes are to be written; nil if they already are.
    let file: SpoolFile?
  }

  private func placeWrite(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?, _ state: inout State
  ) throws(DFSError) -> Step {
    let (start, oldSize) = (offset ?? state.size, state.size)
    let (sum, overflow) = start.addingReportingOverflow(UInt64(bytes.count))
    let end = overflow ? .max : sum
    let isInMemory = try prepare(max(end, state.size), &state)
    let reserved = isInMemory ? 0 : try reserve(start, UInt64(bytes.count), &state)
    let claimed = state.digest.claim(start, bytes.count)
    let unhashed = claimed ? Unhashed(digest: state.digest, offset: start) : nil
    guard isInMemory else {
      return Step(
        offset: start, oldSize: oldSize, unhashed: unhashed, reserved: reserved, file: state.file)
    }
    state.memory.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[Int(start)..<Int(end)]).copyMemory(from: bytes)
    }
    state.size = UInt64(state.memory.count)
    state.noteHere(start..<end)
    state.noteChange(start..<end, isAppended: offset == nil, limit: budget.rangesPerFile)
    return Step(offset: start, oldSize: oldSize, unhashed: unhashed, reserved: 0, file: nil)
  }

  /// Makes ready for `size` bytes: in memory, filled with zeros, or in a file.
  /// - Returns: whether in memory.
  func prepare(
    _ size: UInt64, _ state: inout State
  ) throws(DFSError) -> Bool {
    guard size <= Limits.fileBytes else {
      throw DFSError(.fileTooLarge, "a file of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
    guard state.file == nil else { return false }
    let old = state.memory.count
    if size <= UInt64(budget.memoryPerFile), budget.charge(memory: old, to: Int(size)) {
      if Int(size) > old {
        state.memory.append(contentsOf: repeatElement(0, count: Int(size) - old))
      }
      return true
    }
    try moveToFile(&state)
    return false
  }

  private func moveToFile(_ state: inout State) throws(DFSError) {
    let file = try SpoolFile(in: budget.directory)
    let reserved = UInt64(state.memory.count) + SpoolBudget.slackBytes
    try budget.charge(disk: 0, to: reserved)
    do throws(DFSError) {
      try state.memory[...].withBytes { bytes throws(DFSError) in
        var done = 0
        try file.write(bytes, at: 0, &done)
      }
    } catch {
      budget.correct(disk: reserved, to: 0)
      throw error
    }
    _ = budget.charge(memory: state.memory.count, to: 0)
    state.memory = []
    state.file = file
    state.allocated = file.allocated(of: state.size)
    budget.correct(disk: reserved, to: state.allocated)
  }

  /// Sets aside what a write may take; one into blocks that are there takes nothing.
  /// - Parameter isSpare: it is to leave half of the budget to what is written.
  func reserve(
    _ offset: UInt64, _ count: UInt64, isSpare: Bool = false, _ state: inout State
  ) throws(DFSError) -> UInt64 {
    let wanted = count + SpoolBudget.slackBytes
    do throws(DFSError) {
      try budget.charge(disk: state.charged, to: state.charged + wanted, isSpare: isSpare)
    } catch {
      guard let file = state.file, offset + count <= state.size,
        (try? file.seek(offset, .hole)) ?? 0 >= offset + count
      else { throw error }
      return 0
    }
    state.reserved += wanted
    return wanted
  }

  /// After a write: counts what the file takes now. Only now are the bytes read from it.
  func correct(
    _ file: SpoolFile, _ reserved: UInt64, written: Range<UInt64>, _ change: Change
  ) {
    state.withLock { state in
      let charged = state.charged
      if !written.isEmpty { state.size = max(state.size, written.upperBound) }
      state.noteHere(written)
      if change != .none {
        let isAppended = change == .appended
        state.noteChange(written, isAppended: isAppended, limit: budget.rangesPerFile)
      }
      state.reserved -= reserved
      state.allocated = file.allocated(of: state.size)
      budget.correct(disk: charged, to: state.charged)
    }
  }

  // MARK: Reading

  /// The bytes of a range, clamped to the content; zeros where they are missing here.
  func read(at offset: UInt64, count: Int) throws(DFSError) -> [UInt8] {
    let size = size
    let available = offset < size ? Int(min(size - offset, UInt64(count))) : 0
    var failure: DFSError?
    let bytes = [UInt8](unsafeUninitializedCapacity: available) { buffer, done in
      do throws(DFSError) {
        try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        done = available
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Fills `buffer` from `offset`; with zeros where bytes are missing here, and behind the end.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) {
    let (file, copied) = state.withLock { state -> (SpoolFile?, Int) in
      guard state.file == nil, offset < UInt64(state.memory.count) else { return (state.file, 0) }
      let count = min(state.memory.count - Int(offset), buffer.count)
      buffer.copyBytes(from: state.memory[Int(offset)..<Int(offset) + count])
      return (nil, count)
    }
    let count = try file?.read(into: buffer, at: offset) ?? copied
    // What lies behind the file's end was made by growing, or is below.
    if count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
  }
}
