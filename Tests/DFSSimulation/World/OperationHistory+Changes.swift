internal import DFSCore

/// Whether the changes are those that operations may have made.
extension OperationHistory {
  /// In the names of what others wrote, which is kept when somebody else publishes.
  private static let kept = " (conflict "

  /// Each change was made once, by operations that may have happened, and found what it must have found.
  func judgeChanges(_ archive: [Change], _ replay: Replay) throws {
    var seen: Set<ChangeID> = []
    var marks: Set<UInt64> = []
    for (index, change) in archive.enumerated() {
      let number = UInt64(index + 1)
      let name = "change \(number) (\(change.id.sequence) of client \(change.id.client.value))"
      guard seen.insert(change.id).inserted else { throw Problem(text: "\(name) is there twice") }
      let kept = Self.kept(by: change)
      for write in change.writes {
        let before = replay.row(write.key, at: number - 1)
        switch write.key {
        case .attribute(.root, _):
          let (old, new) = (before?.value.bytes ?? [], write.value?.bytes ?? [])
          guard new.starts(with: old), new.count > old.count else {
            throw Problem(text: "\(name): an update was lost")
          }
          for token in tokens(new.dropFirst(old.count)) { try judge(token, change, name) }
        case .entry(.listOfUnsettled, _): continue
        case .entry(let parent, _):
          guard
            write.value == nil || parent == .root || replay.row(.inode(parent), at: number) != nil
          else {
            throw Problem(text: "\(name): an entry of directory \(parent), which is not there")
          }
          guard let child = write.value?.child, !kept.contains(child) else { continue }
          try judgeEntry(child, before, number, change, name, replay)
        case .inode(let id):
          let inode = replay.inode(id, at: number)
          guard !kept.contains(id), inode?.kind != .layer else { continue }
          try judgeMark(of: id, before, write, change, name, &marks)
          guard let version = inode?.version?.id,
            version != replay.inode(id, at: number - 1)?.version?.id
          else { continue }
          guard replay.publications[version]?.number == number else {
            throw Problem(text: "\(name): version \(version.brief) came back")
          }
        default: continue
        }
      }
    }
  }

  /// The files that keep what others wrote have its owner and group.
  static func kept(by change: Change) -> Set<InodeID> {
    Set(
      change.writes.compactMap { write in
        guard case .entry(_, let name) = write.key, name.description.contains(kept) else {
          return nil
        }
        return write.value?.child
      })
  }

  private func judgeEntry(
    _ child: InodeID, _ before: Row?, _ number: UInt64, _ change: Change, _ name: String,
    _ replay: Replay
  ) throws {
    // A name that is made and removed by one change leaves a row that was not there.
    guard child.value >> 8 == number else { return }
    // What had the name lost it by the same change, which then wrote its inode too.
    let old = before?.value.child
    guard old.map({ id in change.writes.contains { $0.key == .inode(id) } }) ?? true else {
      throw Problem(text: "\(name): the name that it creates was there")
    }
    let row = replay.row(.inode(child), at: number)
    guard let row, let inode = try? Inode(id: child, row: row.value.bytes) else {
      throw Problem(text: "\(name): a name without an inode")
    }
    try judge(UInt64(inode.owner), change, name)
  }

  private func judgeMark(
    of id: InodeID, _ before: Row?, _ write: RowWrite, _ change: Change, _ name: String,
    _ marks: inout Set<UInt64>
  ) throws {
    guard let row = write.value, let inode = try? Inode(id: id, row: row.bytes) else { return }
    let old = try before.map { try Inode(id: id, row: $0.value.bytes) }
    guard inode.group != old?.group ?? 0 else { return }
    guard marks.insert(UInt64(inode.group)).inserted else {
      throw Problem(text: "\(name): the group of inode \(id) became an old one")
    }
    try judge(UInt64(inode.group), change, name)
  }

  private func tokens(_ bytes: ArraySlice<UInt8>) -> [UInt64] {
    stride(from: bytes.startIndex, to: bytes.endIndex, by: 8).map {
      UInt64(bigEndian: Array(bytes[$0..<min($0 + 8, bytes.endIndex)]))
    }
  }

  /// An operation that a change has performed.
  private func judge(_ token: UInt64, _ change: Change, _ name: String) throws {
    let entry = try entry(token, name)
    guard entry.client == change.id.client else {
      throw Problem(text: "\(name): operation \(token) is of client \(entry.client.value)")
    }
    guard entry.mayHaveHappened else {
      throw Problem(text: "\(name): operation \(token) was told not to have happened")
    }
  }

  func entry(_ token: UInt64, _ name: String) throws -> Entry {
    guard token > 0, token <= UInt64(entries.count) else {
      throw Problem(text: "\(name): nobody made it")
    }
    return entries[Int(token) - 1]
  }

  // MARK: Contents

  /// Each client published as many versions as it was told, or may have.
  func judgeVersions(_ replay: Replay) throws {
    var left: [ClientID: Int] = [:]
    for entry in entries {
      guard entry.kind.isPublish, entry.mayHaveHappened else { continue }
      left[entry.client, default: 0] += 1
    }
    for (version, (client, _)) in replay.publications.sorted(by: { $0.key < $1.key }) {
      left[client, default: 0] -= 1
      if left[client, default: 0] < 0 {
        throw Problem(
          text:
            "client \(client.value) published \(version.brief), or another version, and was told that it did not"
        )
      }
    }
  }
}

extension OperationHistory.Entry {
  /// Whether a change may show that it happened.
  var mayHaveHappened: Bool {
    // It may have done a part of what it does.
    if kind.isSection { return true }
    return switch outcome {
    case .counted, .created, .marked, .published, .patched, .unknown, nil: true
    default: false
    }
  }
}
