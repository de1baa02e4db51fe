internal import DFSCore

/// What programs did under locks, and whether it can be right.
///
/// `@unchecked Sendable`: as `SimulatedLoop`; operations run on the thread of the world.
final class LockedSections: @unchecked Sendable {
  /// What an operation did under its locks.
  private struct Section {
    struct Span {
      let isExclusive: Bool
      let granted: Int
      /// When it was last used, and sure to be held.
      var used: Int
    }

    let client: ClientID
    var spans: [LockedCell: Span] = [:]
    /// Of locks that were exclusive before.
    var weakened: [LockedCell: Span] = [:]
    var reads: [(cell: LockedCell, tokens: [UInt64])] = []
    var written: Set<LockedCell> = []
    var synced: Int?
    /// When its locks were given back, or the last of them was weakened, if nothing failed.
    var ended: Int?
    /// The program ended before.
    var isOver = false
  }

  private unowned let world: World
  private var sections: [UInt64: Section] = [:]
  /// Tokens that were written and are lost, since the client ended or lost its locks.
  private var lost: Set<UInt64> = []
  /// Programs that are no more: what is left of their tasks does nothing.
  private var over: Set<ClientID> = []

  init(world: World) { self.world = world }

  // MARK: What happened

  func granted(_ token: UInt64, of client: ClientID, _ cells: [LockedCell], isExclusive: Bool) {
    guard !over.contains(client) else { return }
    for cell in cells {
      sections[token, default: Section(client: client)].spans[cell] = .init(
        isExclusive: isExclusive, granted: world.now, used: world.now)
    }
    let kind = isExclusive ? "the exclusive" : "a shared"
    world.trace("\(token) has \(kind) lock of \(cells.map(\.key.brief)), client \(client.value)")
  }

  /// Its locks of some cells are shared now.
  func weakened(_ token: UInt64, _ cells: [LockedCell]) {
    guard goesOn(token) else { return }
    for cell in cells {
      sections[token]?.weakened[cell] = .init(
        isExclusive: false, granted: world.now, used: world.now)
    }
    if let section = sections[token], section.weakened.count == section.spans.count {
      sections[token]?.ended = world.now
    }
    world.trace("\(token) shares its lock of \(cells.map(\.key.brief))")
  }

  func cells(of token: UInt64) -> [LockedCell] { (sections[token]?.spans.keys.sorted()) ?? [] }

  func read(_ token: UInt64, _ cell: LockedCell, _ tokens: [UInt64]) {
    guard goesOn(token) else { return }
    use(token, cell)
    sections[token]?.reads.append((cell, tokens))
    world.trace("\(token) reads \(cell.key.brief): \(tokens)")
  }

  func wrote(_ token: UInt64, _ cell: LockedCell) {
    guard goesOn(token) else { return }
    use(token, cell)
    sections[token]?.written.insert(cell)
    world.trace("\(token) writes \(cell.key.brief)")
  }

  private func goesOn(_ token: UInt64) -> Bool { sections[token].map { !$0.isOver } ?? false }

  func ended(_ client: ClientID) {
    over.insert(client)
    for (token, section) in sections where section.client == client && section.ended == nil {
      sections[token]?.isOver = true
    }
  }

  private func use(_ token: UInt64, _ cell: LockedCell) {
    if sections[token]?.weakened[cell] != nil {
      sections[token]?.weakened[cell]?.used = world.now
    } else {
      sections[token]?.spans[cell]?.used = world.now
    }
  }

  func synced(_ token: UInt64) {
    guard goesOn(token), !lost.contains(token) else { return }
    sections[token]?.synced = world.now
    world.trace("\(token) has synced")
  }

  func ended(_ token: UInt64) {
    guard goesOn(token) else { return }
    if sections[token]?.ended == nil { sections[token]?.ended = world.now }
    world.counts.sections += 1
    world.trace("\(token) has given its locks back")
  }

  func gone(_ tokens: Set<UInt64>) {
    lost.formUnion(tokens)
    if !tokens.isEmpty { world.trace("what \(tokens.sorted()) wrote is lost") }
  }

  // MARK: Judging

  /// - Throws: `OperationHistory.Problem`: two had locks at once that exclude each other, something was read that was
  ///   not the latest, or what was written is lost.
  func judge(_ replay: Replay) throws {
    let cells = Set(sections.values.flatMap(\.spans.keys)).sorted()
    for cell in cells {
      let own = sections.filter { $0.value.spans[cell] != nil }.sorted { $0.key < $1.key }
      try judgeExclusion(cell, own)
      let stored = try judgeStored(replay.values(of: cell.key), cell)
      try judgeReads(cell, own)
      for (token, section) in own
      where section.synced != nil && section.written.contains(cell) && !stored.contains(token) {
        throw problem("what \(token) wrote to \(cell.key.brief) and synced is not there")
      }
    }
  }

  private func judgeExclusion(_ cell: LockedCell, _ own: [(key: UInt64, value: Section)]) throws {
    let spans = own.flatMap { token, section in
      [section.spans[cell], section.weakened[cell]].compactMap { $0.map { (token, $0) } }
    }.sorted { $0.1.granted < $1.1.granted }
    for (index, (token, span)) in spans.enumerated() {
      for (other, next) in spans[(index + 1)...] where other != token {
        guard next.granted < span.used else { break }
        if span.isExclusive || next.isExclusive, span.granted < next.used {
          throw problem(
            "\(token) used its lock of \(cell.key.brief) at \(span.used), \(other) had one since \(next.granted)"
          )
        }
      }
    }
  }

  /// What was stored never replaces what others have stored.
  private func judgeStored(_ values: [[UInt8]], _ cell: LockedCell) throws -> [UInt64] {
    var last: [UInt64] = []
    for value in values.map(LockedCell.tokens) {
      guard value.starts(with: last) else {
        throw problem("\(cell.key.brief) was \(last), and then \(value)")
      }
      last = value
    }
    return last
  }

  private func judgeReads(_ cell: LockedCell, _ own: [(key: UInt64, value: Section)]) throws {
    let writers = own.filter { $0.value.written.contains(cell) }
    for (token, section) in own {
      guard let granted = section.spans[cell]?.granted else { continue }
      for read in section.reads where read.cell == cell {
        for (other, writer) in writers
        where other != token && !read.tokens.contains(other) {
          let isSynced = writer.synced.map { $0 <= granted } ?? false
          let hasEnded = writer.ended.map { $0 <= granted } ?? false
          if isSynced || hasEnded && !lost.contains(other) {
            throw problem(
              "\(token) had a lock of \(cell.key.brief) since \(granted) and did not see what \(other) wrote before"
            )
          }
        }
      }
    }
  }

  private func problem(_ text: String) -> OperationHistory.Problem { .init(text: text) }
}
