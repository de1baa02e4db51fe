internal import DFSClient
internal import DFSCore
internal import Synchronization

/// The local content of a file that is being written: in memory while little is written, all of it near to each other,
/// then in an unlinked, sparse file; bounded by the budget, in which it counts with the space that it takes. Holes take
/// none (Spool+Ranges.swift makes them). It may lie over a published version, which has all that was not
/// written since (Below.swift).
///
/// Every call may block on the disk, and may come from any thread. Who publishes a spool, truncates
/// it or makes holes in it keeps writers out meanwhile (`AsyncLock`).
final class Spool: Sendable {
  struct State {
    var size: UInt64 = 0
    /// What was written, as long as there is no file.
    var memory = SpoolMemory()
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
      let here = state.file == nil ? UInt64(state.memory.count) : state.allocated
      return here + (state.below?.missing.ranges.byteCount ?? 0)
    }
  }

  /// Whether nothing of it is in a file, and a content made of it has no more bytes than memory may have: it takes no
  /// time to read.
  func isInMemory(_ bytes: UInt64) -> Bool {
    bytes <= UInt64(budget.memoryPerFile) && isInMemory
  }
  var isInMemory: Bool { state.withLock { $0.file == nil } }

  // MARK: Writing

  /// Writes `bytes` if that needs no file.
  /// - Parameter offset: nil for the end.
  /// - Returns: nil if it does, else as `write`.
  func writeInMemory(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?
  ) throws(DFSError) -> (count: Int, unhashed: Unhashed?)? {
    try state.withLock { state throws(DFSError) in
      let range = try Self.range(bytes.count, at: offset ?? state.size)
      guard stayInMemory(range, &state) else { return nil }
      return (bytes.count, write(bytes, in: range, isAppended: offset == nil, &state))
    }
  }

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
    let range = try Self.range(bytes.count, at: offset ?? state.size)
    let oldSize = state.size
    if try prepare(for: range, &state) {
      let unhashed = write(bytes, in: range, isAppended: offset == nil, &state)
      return Step(
        offset: range.lowerBound, oldSize: oldSize, unhashed: unhashed, reserved: 0, file: nil)
    }
    let reserved = try reserve(range.lowerBound, UInt64(bytes.count), &state)
    let claimed = state.digest.claim(range.lowerBound, bytes.count)
    return Step(
      offset: range.lowerBound, oldSize: oldSize,
      unhashed: claimed ? Unhashed(digest: state.digest, offset: range.lowerBound) : nil,
      reserved: reserved, file: state.file)
  }

  /// Writes to where there is memory.
  private func write(
    _ bytes: UnsafeRawBufferPointer, in range: Range<UInt64>, isAppended: Bool,
    _ state: inout State
  ) -> Unhashed? {
    let claimed = state.digest.claim(range.lowerBound, bytes.count)
    state.memory.write(bytes, at: range.lowerBound)
    state.size = max(state.size, range.upperBound)
    state.noteHere(range)
    state.noteChange(range, isAppended: isAppended, limit: budget.rangesPerFile)
    return claimed ? Unhashed(digest: state.digest, offset: range.lowerBound) : nil
  }

  private static func range(_ count: Int, at start: UInt64) throws(DFSError) -> Range<UInt64> {
    let (end, overflow) = start.addingReportingOverflow(UInt64(count))
    try checkSize(overflow ? .max : end)
    return start..<end
  }

  static func checkSize(_ size: UInt64) throws(DFSError) {
    guard size <= Limits.fileBytes else {
      throw DFSError(.fileTooLarge, "a file of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
  }

  /// Makes ready for writing a range: in memory, filled with zeros, or in a file.
  /// - Returns: whether in memory.
  func prepare(for range: Range<UInt64>, _ state: inout State) throws(DFSError) -> Bool {
    if state.file != nil { return false }
    if stayInMemory(range, &state) { return true }
    try moveToFile(&state)
    return false
  }

  private func stayInMemory(_ range: Range<UInt64>, _ state: inout State) -> Bool {
    guard state.file == nil, case let count = state.memory.covering(range).count,
      count <= budget.memoryPerFile, budget.charge(memory: state.memory.count, to: count)
    else { return false }
    state.memory.cover(range)
    return true
  }

  private func moveToFile(_ state: inout State) throws(DFSError) {
    let file = try SpoolFile(in: budget.directory)
    let reserved = UInt64(state.memory.count) + SpoolBudget.slackBytes
    try budget.charge(disk: 0, to: reserved)
    do throws(DFSError) {
      let start = state.memory.start
      try state.memory.bytes[...].withBytes { bytes throws(DFSError) in
        var done = 0
        try file.write(bytes, at: start, &done)
      }
    } catch {
      budget.correct(disk: reserved, to: 0)
      throw error
    }
    _ = budget.charge(memory: state.memory.count, to: 0)
    state.memory = SpoolMemory()
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
    let file = state.withLock { state in
      if state.file == nil { state.memory.read(into: buffer, at: offset) }
      return state.file
    }
    guard let file else { return }
    let count = try file.read(into: buffer, at: offset)
    // What lies behind the file's end was made by growing, or is below.
    if count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
  }
}
