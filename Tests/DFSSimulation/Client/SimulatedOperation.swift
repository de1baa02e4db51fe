internal import DFSCore
internal import DFSTestSupport

/// How an operation ended, for what it is a step of.
enum SimulatedEnd {
  case done(History.Outcome)
  /// It did not happen.
  case failed
  case unknown
}

/// What travels with a change, for each server.
typealias SimulatedPartsByServer = [ServerIndex: SimulatedParts]

/// What a client wants to do. Counters show lost updates, names show double creates; neither has
/// anything of its writer in it, so that two clients' changes look alike.
struct SimulatedOperation {
  enum Kind {
    case increment([RowKey])
    case create(RowKey)
    case delete(RowKey)
    case read([RowKey])
    case cachedRead([RowKey])
    /// Makes a content that of a file.
    case publish(RowKey, RowContent)
    /// Notes where the copies of a content are now, if it is the file's still, and they are still
    /// noted where they were.
    case place(RowKey, RowContent, Placement)
    case remove(RowKey)
  }

  let kind: Kind
  let began: Int
  let deadline: Int
  /// Whether it shows that a client gets on when the faults are over.
  var isProof = false
  var tries = 0
  /// How often a server's head was not that of the view.
  var mismatches = 0
  var parts = SimulatedPartsByServer()
  /// Servers said that they lack copies which the change names: it is not tried again.
  var isRejected = false
  /// Copies travel with the change.
  var isSmall: Bool { !(parts[ServerIndex(0)]?.small.isEmpty ?? true) }
  /// Servers answer when it is on stable storage.
  var isDurable: Bool { parts[ServerIndex(0)]?.durable ?? false }
  /// Goes on with what the operation is a step of.
  var then: ((SimulatedEnd) -> Void)?

  var keys: [RowKey] {
    switch kind {
    case .increment(let keys), .read(let keys), .cachedRead(let keys): keys
    case .create(let key), .delete(let key), .publish(let key, _), .place(let key, _, _),
      .remove(let key):
      [key]
    }
  }

  /// The writes, given the rows; nil if there is nothing to write, which is an answer too.
  func writes(
    on rows: [RowKey: Row], number: UInt64, mistake: Simulation.Mistake?
  ) -> (History.Intent, [RowWrite])? {
    switch kind {
    case .increment(let keys):
      let writes = keys.map { key in
        let count = UInt64(bigEndian: rows[key]?.value.bytes ?? [])
        return RowWrite(key, RowValue(bytes: (count + 1).bigEndianBytes))
      }
      return (.increment(keys), writes)
    case .create(let key):
      guard rows[key] == nil else { return nil }
      let child = InodeID(change: number, index: 0)
      return (.create(key), [RowWrite(key, RowValue(bytes: [], child: child))])
    case .delete(let key), .remove(let key):
      return rows[key] == nil ? nil : (.delete(key), [RowWrite(key, nil)])
    case .publish(let key, let content):
      return (.publish(key, content), [RowWrite(key, RowValue(bytes: [], content: content))])
    case .place(let key, let from, let placement):
      guard let old = rows[key]?.value.content, old.version == from.version,
        old == from || mistake == .placedWhateverTheRowSays
      else { return nil }
      let content = RowContent(version: old.version, placement: placement, home: old.home)
      return (
        .place(key, from: from), [RowWrite(key, RowValue(bytes: [], content: content))]
      )
    case .read, .cachedRead: return nil
    }
  }

  /// - Parameter last: the client's operation before; rows that were read are often read again.
  static func random(
    _ random: inout SplitMix64, now: Int, after last: SimulatedOperation?, isHot: Bool
  ) -> SimulatedOperation {
    if isHot {
      let keys = [counter(0)]
      let kind = random.pick([Kind.increment(keys), .read(keys), .cachedRead(keys)])
      return SimulatedOperation(kind: kind, began: now, deadline: now + 120_000)
    }
    if case .read(let keys)? = last?.kind, random.chance(60) {
      return SimulatedOperation(kind: .cachedRead(keys), began: now, deadline: now + 120_000)
    }
    if case .cachedRead(let keys)? = last?.kind, random.chance(60) {
      return SimulatedOperation(kind: .cachedRead(keys), began: now, deadline: now + 120_000)
    }
    let counters = [counter(0), counter(1)]
    let one = [random.pick(counters)]
    let name = entry(random.below(2))
    let kind: Kind =
      switch random.below(100) {
      case ..<30: .increment(one)
      case ..<36: .increment(counters)
      case ..<46: .create(name)
      case ..<56: .delete(name)
      case ..<75: .read(random.chance(50) ? one + [name] : counters)
      default: .cachedRead(random.chance(50) ? one : [name])
      }
    return SimulatedOperation(kind: kind, began: now, deadline: now + 120_000)
  }

  static func counter(_ index: UInt64) -> RowKey {
    guard let name = try? AttributeName("count") else { preconditionFailure("it is a name") }
    return .attribute(InodeID(10 + index), name: name)
  }

  static let files: [RowKey] = [.inode(InodeID(20)), .inode(InodeID(21))]

  private static func entry(_ index: Int) -> RowKey {
    .entry(parent: .root, name: name("name\(index)"))
  }

  private static func name(_ text: String) -> FileName {
    guard let name = try? FileName(text) else { preconditionFailure("\(text) is not a name") }
    return name
  }
}
