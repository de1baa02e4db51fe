internal import DFSCore

/// The rows after every change.
struct Replay {
  private struct Value {
    let from: UInt64
    let row: Row?
  }

  private let changes: [Change]
  private var timeline: [RowKey: [Value]] = [:]
  private var digests: [RowDigest] = [.empty]

  init(_ changes: [Change]) {
    self.changes = changes
    var digest = RowDigest.empty
    for (index, change) in changes.enumerated() {
      let number = UInt64(index + 1)
      for write in change.writes {
        if let old = timeline[write.key]?.last?.row { digest -= RowDigest(of: old) }
        let row = write.value.map { Row(key: write.key, change: number, value: $0) }
        if let row { digest += RowDigest(of: row) }
        timeline[write.key, default: []].append(Value(from: number, row: row))
      }
      digests.append(digest)
    }
  }

  func change(_ number: UInt64) -> Change? {
    number > 0 && number <= UInt64(changes.count) ? changes[Int(number - 1)] : nil
  }

  func digest(at number: UInt64) -> RowDigest? {
    number < UInt64(digests.count) ? digests[Int(number)] : nil
  }

  func row(_ key: RowKey, at number: UInt64) -> Row? {
    timeline[key]?.last { $0.from <= number }?.row
  }

  /// The first moment from `floor` on at which all `keys` have these rows.
  func first(from floor: UInt64, where keys: [RowKey], are rows: [RowKey: Row]) -> UInt64? {
    guard floor < UInt64(digests.count) else { return nil }
    return (floor..<UInt64(digests.count)).first { moment in
      keys.allSatisfy { row($0, at: moment) == rows[$0] }
    }
  }

  /// What the change `number` found that it must not have found.
  func problem(_ intent: History.Intent, at number: UInt64) -> String? {
    switch intent {
    case .increment(let keys):
      for key in keys where count(key, at: number) != count(key, at: number - 1) + 1 {
        return "an update was lost"
      }
    case .create(let key):
      if row(key, at: number - 1) != nil { return "the name it creates was there" }
    case .delete(let key):
      if row(key, at: number - 1) == nil { return "the name it deletes was not there" }
    case .publish(let key, let content):
      if row(key, at: number)?.value.content != content { return "it published another content" }
    case .place(let key, let from):
      let before = row(key, at: number - 1)?.value.content
      if before != from { return "it placed copies that others had replaced or placed meanwhile" }
    }
    return nil
  }

  private func count(_ key: RowKey, at number: UInt64) -> UInt64 {
    UInt64(bigEndian: row(key, at: number)?.value.bytes ?? [])
  }
}
