import DFSCore
import DFSTestSupport
import Testing

@testable import DFSClient

/// Random operations on files with layers: after each change all rows are as they must be.
@Suite struct LayerHistoryTests {
  private typealias Tree = TransactionTests.Tree

  @Test(arguments: 0..<40 as Range<UInt64>) func allRowsAreConsistent(_ seed: UInt64) async throws {
    var history = History(seed: seed)
    for _ in 0..<120 {
      try await history.step()
      try history.tree.checkLayers()
    }
    #expect(history.performed > 60, "most of them can be performed")
  }

  /// What several clients do to some files in the root.
  private struct History {
    let tree = TransactionTests.Tree()
    var random: SplitMix64
    var performed = 0
    /// What somebody opened once, and may lay something over.
    var seen: [(file: InodeID, name: String, version: Version?)] = []
    private let names = ["a", "b", "c", "d"]

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    /// A change of up to three operations; one that is refused leaves nothing.
    mutating func step() async throws {
      var transaction = Transaction(
        number: tree.number + 1, time: Timestamp(nanoseconds: Int64(tree.number + 1)),
        source: tree.table)
      for _ in 0..<1 + random.below(3) {
        let before = transaction
        do {
          try await perform(&transaction)
          performed += 1
        } catch {
          let isExpected = error is OtherVersionBelow || error is DFSError
          #expect(isExpected && (error as? DFSError)?.code != .damaged, "\(error)")
          transaction = before
        }
      }
      tree.number += 1
      #expect(Set(transaction.writes.map(\.key)).count == transaction.writes.count)
      tree.table.perform(transaction.writes, number: tree.number)
    }

    private mutating func perform(_ transaction: inout Transaction) async throws {
      let (name, other) = (random.pick(names), random.pick(names))
      switch random.below(14) {
      case 0: try await create(name, &transaction)
      case 1: _ = try await transaction.unlink(.root, FileName(name))
      case 2:
        let mode = random.pick([RenameMode.replace, .noReplace, .exchange])
        try await transaction.rename(.root, FileName(name), to: .root, FileName(other), mode)
      case 3:
        let file = try await transaction.existingChild(.root, FileName(name))
        _ = try await transaction.link(file.id, to: .root, FileName(other))
      case 4: try await publishWhole(name, &transaction)
      case 5, 6, 7: try await publishLayer(name, &transaction)
      case 8: try await publishStale(&transaction)
      case 9, 10: try await merge(name, &transaction)
      case 11: try await settle(name, &transaction)
      case 12: try await place(name, &transaction)
      default:
        let file = try await transaction.existingChild(.root, FileName(name))
        var change = AttributeChange()
        change.owner = UInt32(random.below(1000))
        _ = try await transaction.setAttributes(file.id, change)
      }
    }

    private mutating func create(_ name: String, _ transaction: inout Transaction) async throws {
      let new = NewInode(kind: .regular, mode: 0o644, owner: 1, group: 2)
      let file = try await transaction.create(.root, FileName(name), new)
      seen.append((file.id, name, nil))
    }

    private func opened(_ name: String, _ version: Version?) throws -> OpenedVersion {
      try tree.opened(name, version, NewInode(kind: .regular, mode: 0o600, owner: 5, group: 6))
    }

    private mutating func publishWhole(
      _ name: String, _ transaction: inout Transaction
    ) async throws {
      if random.chance(50) {
        let new = NewInode(kind: .regular, mode: 0o644, owner: 1, group: 2)
        let target = PublishTarget.name(parent: .root, try FileName(name), new)
        let file = try await transaction.publish(Tree.content(50), to: target)
        return seen.append((file.id, name, file.version))
      }
      let file = try await transaction.existingChild(.root, FileName(name))
      let opened = try opened(name, random.chance(50) ? file.version : nil)
      try await publish(.whole(Tree.content(50)), to: file.id, opened, &transaction)
    }

    private mutating func publishLayer(
      _ name: String, _ transaction: inout Transaction
    ) async throws {
      let file = try await transaction.existingChild(.root, FileName(name))
      let layer = Tree.layer(over: file.version)
      let opened = try opened(name, file.version)
      try await publish(.layer(layer), to: file.id, opened, &transaction)
    }

    /// Over what a file had once: the file may have another version by now, or be gone.
    private mutating func publishStale(_ transaction: inout Transaction) async throws {
      guard !seen.isEmpty else { return }
      let (file, name, version) = random.pick(seen)
      let layer = Tree.layer(over: version)
      let own: Set<VersionID> = random.chance(20) ? Set(version.map { [$0.id] } ?? []) : []
      try await publish(.layer(layer), to: file, opened(name, version), own: own, &transaction)
    }

    private mutating func publish(
      _ new: NewVersion, to file: InodeID, _ opened: OpenedVersion, own: Set<VersionID> = [],
      _ transaction: inout Transaction
    ) async throws {
      let target = PublishTarget.inode(
        file, modified: Tree.time, changed: Tree.time, opened: opened)
      let inode = try await transaction.publish(new, to: target, own: own)
      #expect(inode.version?.id == new.id)
      seen.append((inode.id, opened.name.description, inode.version))
    }

    // MARK: The background

    private mutating func merge(_ name: String, _ transaction: inout Transaction) async throws {
      let file = try await transaction.existingChild(.root, FileName(name))
      guard let layers = file.version?.layers, layers.count > 1 else { return }
      let start = random.below(layers.count - 1)
      let end = start + 2 + random.below(layers.count - start - 1)
      var run = Array(layers[start..<end])
      let isThere = random.chance(80)
      if !isThere { run.swapAt(0, 1) }
      let size = layers[end - 1].size
      let patch = Patch(over: nil, [], cut: 0, size: size)
      let layer = NewLayer(
        id: .random(), content: Tree.content(0), patch: patch, index: .row([]))
      #expect(try await transaction.merge(run, of: file.id, into: layer) == isThere)
      let after = try await transaction.inode(file.id)
      #expect(after?.version?.id == file.version?.id && after?.size == file.size)
      #expect(after?.version?.layers.count == layers.count - (isThere ? end - start - 1 : 0))
    }

    private mutating func settle(_ name: String, _ transaction: inout Transaction) async throws {
      let file = try await transaction.existingChild(.root, FileName(name))
      guard let version = file.version, !version.layers.isEmpty else { return }
      let count = 1 + random.below(version.layers.count)
      let isAll = count == version.layers.count
      let part = version.made(of: version.base, Array(version.layers.prefix(count)))
      let md5 = MD5Digest.of([1])
      let form: SettledForm
      if random.chance(50) {
        form = .whole(
          Content(
            id: isAll ? version.id : .random(), size: part.size, md5: md5,
            placement: Placement(md5: md5),
            partDigests: PartIndex.all.map { _ in BlockChecksum(0) }))
      } else {
        let patch = Patch(over: nil, [], cut: 0, size: part.size)
        let layer = NewLayer(
          id: .random(), content: Tree.content(0), patch: patch, index: .row([]))
        form = .sparse(layer, md5)
      }
      #expect(try await transaction.settle(part, of: file.id, as: form))
      let after = try await transaction.inode(file.id)
      #expect(after?.version?.id == version.id && after?.size == file.size)
      #expect(after?.version?.isSettled == isAll)
    }

    private mutating func place(_ name: String, _ transaction: inout Transaction) async throws {
      let file = try await transaction.existingChild(.root, FileName(name))
      guard let version = file.version else { return }
      let content = random.pick(version.contents)
      let elsewhere = Placement(
        holders: PartIndex.all.map { _ in ServerSet(rawValue: UInt8(1 + random.below(15))) })
      #expect(try await transaction.place(file.keeper(of: content), content, elsewhere))
      var expected = version
      expected.place(content, elsewhere)
      #expect(try await transaction.inode(file.id)?.version == expected)
    }
  }
}
