internal import DFSClient
internal import DFSCore
internal import Synchronization

/// The size of a spool, its holes and the space it takes. Each of these has the spool to itself.
extension Spool {
  /// Changes the size; what is new reads as zeros and takes no space.
  func truncate(to size: UInt64) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      guard size != state.size else { return }
      try Self.checkSize(size)
      if size < state.size, state.file == nil {
        let old = state.memory.count
        state.memory.cut(at: size)
        _ = budget.charge(memory: old, to: state.memory.count)
      } else if let file = state.file {
        try file.truncate(to: size)
        recount(file, &state, size: size)
      }
      // What is cut off does not come back by growing.
      if size < state.size {
        state.noteHere(size..<state.size)
        state.changes.cut(at: size)
      } else {
        state.changes.grew()
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
        let old = state.memory.count
        state.memory.zero(range)
        _ = budget.charge(memory: old, to: state.memory.count)
        state.noteHere(range)
        state.noteChange(range, limit: budget.rangesPerFile)
        return
      }
      try file.punch(range)
      state.noteHere(range)
      state.noteChange(range, limit: budget.rangesPerFile)
      recount(file, &state, size: state.size)
    }
  }

  /// Takes the space of a range, so that writing there does not find the spool full.
  /// - Parameter grows: whether the size becomes at least the range's end.
  func allocate(_ range: Range<UInt64>, grows: Bool) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      let size = grows ? max(state.size, range.upperBound) : state.size
      try Self.checkSize(range.upperBound)
      guard try prepare(for: range, &state) else {
        return try allocate(range, size, &state)
      }
      if state.size != size {
        state.digest.invalidate()
        state.changes.grew()
      }
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
      state.changes.grew()
    }
    state.size = size
  }

  private func recount(_ file: SpoolFile, _ state: inout State, size: UInt64) {
    let charged = state.charged
    state.allocated = file.allocated(of: size)
    budget.correct(disk: charged, to: state.charged)
  }

  /// The first byte of data, or of a hole, from `offset` on; the end counts as a hole. What is missing here
  /// is data, as all that is stored.
  /// - Returns: nil if there is none.
  func seek(_ offset: UInt64, _ sought: SpoolFile.Sought) throws(DFSError) -> UInt64? {
    let size = size
    guard offset < size else { return nil }
    var next = offset
    for range in missing(in: offset..<size)?.ranges ?? [] {
      if let found = try seekHere(next..<range.lowerBound, sought) { return found }
      if sought == .data { return range.lowerBound }
      next = range.upperBound
    }
    return try seekHere(next..<size, sought) ?? (sought == .hole ? size : nil)
  }

  /// The same, where what is missing here has holes as `map` says.
  func seek(
    _ offset: UInt64, _ sought: SpoolFile.Sought, over map: VersionMap
  ) throws(DFSError) -> UInt64? {
    let size = size
    guard offset < size else { return nil }
    var next = offset
    for range in missing(in: offset..<size)?.ranges ?? [] {
      if let found = try seekHere(next..<range.lowerBound, sought) { return found }
      if let found = map.next(sought == .data, from: range.lowerBound), found < range.upperBound {
        return found
      }
      next = range.upperBound
    }
    return try seekHere(next..<size, sought) ?? (sought == .hole ? size : nil)
  }

  /// The same within a range of which nothing is missing here.
  private func seekHere(
    _ range: Range<UInt64>, _ sought: SpoolFile.Sought
  ) throws(DFSError) -> UInt64? {
    guard !range.isEmpty else { return nil }
    let (file, inMemory) = state.withLock { state in
      (state.file, state.file == nil ? state.memory.seek(range.lowerBound, sought) : nil)
    }
    let found =
      if let file {
        try file.seek(range.lowerBound, sought) ?? (sought == .hole ? range.lowerBound : nil)
      } else {
        inMemory
      }
    return found.flatMap { range.contains($0) ? $0 : nil }
  }
}
