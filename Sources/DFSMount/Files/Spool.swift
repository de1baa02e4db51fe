internal import DFSClient
internal import DFSCore
internal import Synchronization

/// The local content of a file that is being written: in memory while small, then in an unlinked
/// file; bounded by the budget, in which it counts with its whole size.
///
/// Every call may block on the disk, and may come from any thread. Who publishes a spool keeps
/// writers out meanwhile (`Lane`).
final class Spool: Sendable {
  private struct State {
    var size: UInt64 = 0
    /// The content, as long as there is no file; always `size` bytes then.
    var memory: [UInt8] = []
    var file: SpoolFile?
    /// What the budget was charged for the file.
    var charged: UInt64 = 0
    var digest = SequentialDigest()
  }

  /// A write whose bytes are still to be hashed.
  struct Unhashed: Sendable {
    fileprivate let digest: SequentialDigest
    fileprivate let offset: UInt64

    func hash(_ bytes: UnsafeRawBufferPointer) { digest.update(bytes, at: offset) }
  }

  private let budget: SpoolBudget
  private let state = Mutex(State())

  init(budget: SpoolBudget) { self.budget = budget }

  deinit {
    state.withLock { state in
      _ = budget.charge(memory: state.memory.count, to: 0)
      try? budget.charge(disk: state.charged, to: 0)
    }
  }

  /// Bytes.
  var size: UInt64 { state.withLock { $0.size } }

  /// Writes all of `bytes`.
  /// - Parameter offset: nil for the end.
  /// - Returns: what must be done with the same bytes next, if anything.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64?) throws(DFSError) -> Unhashed? {
    let step = try state.withLock { state throws(DFSError) in
      try self.placeWrite(bytes, at: offset, &state)
    }
    guard let file = step.file else { return step.unhashed }
    do throws(DFSError) {
      try file.write(bytes, at: step.offset)
    } catch {
      step.unhashed?.digest.invalidate()
      throw error
    }
    state.withLock { $0.size = max($0.size, step.offset + UInt64(bytes.count)) }
    return step.unhashed
  }

  private struct Step: Sendable {
    let offset: UInt64
    let unhashed: Unhashed?
    /// Where the bytes are to be written; nil if they already are.
    let file: SpoolFile?
  }

  private func placeWrite(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64?, _ state: inout State
  ) throws(DFSError) -> Step {
    let start = offset ?? state.size
    let (end, overflow) = start.addingReportingOverflow(UInt64(bytes.count))
    try grow(to: overflow ? .max : max(end, state.size), &state)
    let claimed = state.digest.claim(start, bytes.count)
    let unhashed = claimed ? Unhashed(digest: state.digest, offset: start) : nil
    if let file = state.file { return Step(offset: start, unhashed: unhashed, file: file) }
    state.memory.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[Int(start)..<Int(end)]).copyMemory(from: bytes)
    }
    state.size = UInt64(state.memory.count)
    return Step(offset: start, unhashed: unhashed, file: nil)
  }

  /// Makes room for `size` bytes: in memory (filled with zeros) or in the file and the budget.
  private func grow(to size: UInt64, _ state: inout State) throws(DFSError) {
    guard size <= Limits.fileBytes else {
      throw DFSError(.fileTooLarge, "a file of \(size) bytes; the bound is \(Limits.fileBytes)")
    }
    if state.file == nil {
      let old = state.memory.count
      if size <= UInt64(budget.memoryPerFile), budget.charge(memory: old, to: Int(size)) {
        if Int(size) > old {
          state.memory.append(contentsOf: repeatElement(0, count: Int(size) - old))
        }
        return
      }
    }
    if size > state.charged {
      try budget.charge(disk: state.charged, to: size)
      state.charged = size
    }
    if state.file == nil { try moveToFile(&state) }
  }

  private func moveToFile(_ state: inout State) throws(DFSError) {
    let file = try SpoolFile(in: budget.directory)
    try state.memory[...].withBytes { bytes throws(DFSError) in try file.write(bytes, at: 0) }
    _ = budget.charge(memory: state.memory.count, to: 0)
    state.memory = []
    state.file = file
  }

  /// Changes the size; what is new reads as zeros.
  func truncate(to size: UInt64) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      guard size != state.size else { return }
      try self.grow(to: max(size, state.size), &state)
      if let file = state.file {
        try file.truncate(to: size)
        try self.budget.charge(disk: state.charged, to: size)
        state.charged = size
      } else if Int(size) < state.memory.count {
        _ = self.budget.charge(memory: state.memory.count, to: Int(size))
        state.memory.removeLast(state.memory.count - Int(size))
      }
      state.size = size
      state.digest.invalidate()
      if size == 0 { state.digest = SequentialDigest() }
    }
  }

  /// The bytes of a range, clamped to the content.
  func read(at offset: UInt64, count: Int) throws(DFSError) -> [UInt8] {
    let (memory, file, available) = state.withLock { state in
      let end = min(state.size, offset + UInt64(count))
      let available = offset < end ? Int(end - offset) : 0
      let slice = state.file == nil && available > 0
      return (
        slice ? Array(state.memory[Int(offset)..<Int(offset) + available]) : [], state.file,
        available
      )
    }
    guard let file, available > 0 else { return memory }
    var failure: DFSError?
    let bytes = [UInt8](unsafeUninitializedCapacity: available) { buffer, done in
      do throws(DFSError) {
        done = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Fills `buffer` from `offset`, which must be within the content.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) {
    let file = state.withLock { state -> SpoolFile? in
      guard state.file == nil else { return state.file }
      state.memory.withUnsafeBytes { memory in
        let end = min(memory.count, Int(offset) + buffer.count)
        guard Int(offset) < end else { return }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[Int(offset)..<end]))
      }
      return nil
    }
    guard let file else { return }
    let count = try file.read(into: buffer, at: offset)
    // What lies behind the file's end was made by growing: zeros.
    if count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
  }

  /// The whole content, to be published; it must not be written meanwhile.
  func content() async -> SpoolContent {
    let (digest, size) = state.withLock { ($0.digest, $0.size) }
    return SpoolContent(spool: self, size: size, md5: await digest.finish(size: size))
  }
}

/// A spool as `FileService.publish` takes it.
struct SpoolContent: ContentSource {
  fileprivate let spool: Spool
  let size: UInt64
  let md5: MD5Digest?

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try spool.read(into: buffer, at: offset)
  }
}
