internal import DFSCore
internal import Synchronization

/// The size of a spool, its holes and the space it takes. Each of these has the spool to itself.
extension Spool {
  /// Changes the size; what is new reads as zeros and takes no space.
  func truncate(to size: UInt64) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      guard size != state.size else { return }
      if size < state.size, state.file == nil {
        _ = budget.charge(memory: state.memory.count, to: Int(size))
        state.memory.removeLast(state.memory.count - Int(size))
      } else if try !prepare(max(size, state.size), hole: size, &state), let file = state.file {
        try file.truncate(to: size)
        recount(file, &state, size: size)
      }
      state.size = size
      state.digest.invalidate()
      if size == 0 { state.digest = SequentialDigest() }
    }
  }

  /// Makes a range read as zeros, and gives back the space that it takes; the size stays.
  func punch(_ range: Range<UInt64>) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      let range = range.clamped(to: 0..<state.size)
      guard !range.isEmpty else { return }
      state.digest.invalidate()
      guard let file = state.file else {
        for index in Int(range.lowerBound)..<Int(range.upperBound) { state.memory[index] = 0 }
        return
      }
      try file.punch(range)
      recount(file, &state, size: state.size)
    }
  }

  /// Takes the space of a range, so that writing there does not find the spool full.
  /// - Parameter grows: whether the size becomes at least the range's end.
  func allocate(_ range: Range<UInt64>, grows: Bool) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      let size = grows ? max(state.size, range.upperBound) : state.size
      guard range.upperBound <= Limits.fileBytes else {
        throw DFSError(
          .fileTooLarge, "a file of \(range.upperBound) bytes; the limit is \(Limits.fileBytes)")
      }
      // No hole: its space is taken, if there is so much.
      guard try prepare(size, hole: 0, &state) else {
        return try allocate(range, size, &state)
      }
      if state.size != size { state.digest.invalidate() }
      state.size = size
    }
  }

  private func allocate(
    _ range: Range<UInt64>, _ size: UInt64, _ state: inout State
  ) throws(DFSError) {
    guard let file = state.file else { return }
    let reserved = try reserve(range.lowerBound, UInt64(range.count), &state)
    defer {
      state.reserved -= reserved
      budget.correct(disk: state.charged + reserved, to: state.charged)
      recount(file, &state, size: max(state.size, range.upperBound))
    }
    try file.allocate(range)
    if size > state.size {
      try file.truncate(to: size)
      state.digest.invalidate()
    }
    state.size = size
  }

  private func recount(_ file: SpoolFile, _ state: inout State, size: UInt64) {
    let charged = state.charged
    state.allocated = file.allocated(of: size)
    budget.correct(disk: charged, to: state.charged)
  }

  /// The first byte of data, or of a hole, from `offset` on; the end counts as a hole.
  /// - Returns: nil if there is none.
  func seek(_ offset: UInt64, _ sought: SpoolFile.Sought) throws(DFSError) -> UInt64? {
    let (file, size) = state.withLock { ($0.file, $0.size) }
    guard offset < size else { return nil }
    guard let file else { return sought == .data ? offset : size }
    switch sought {
    case .data:
      let found = try file.seek(offset, .data)
      return found.flatMap { $0 < size ? $0 : nil }
    case .hole: return min(try file.seek(offset, .hole) ?? size, size)
    }
  }
}
