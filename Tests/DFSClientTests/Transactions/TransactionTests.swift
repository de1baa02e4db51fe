import DFSCore
import Testing

@testable import DFSClient

/// POSIX's rules over rows in memory.
@Suite struct TransactionTests {
  /// A namespace that performs each transaction at once.
  final class Tree {
    var table = RowTable()
    var number: UInt64 = 0

    func run<Value>(_ body: (inout Transaction) async throws -> Value) async throws -> Value {
      var transaction = Transaction(
        number: number + 1, time: Timestamp(nanoseconds: Int64(number + 1)), source: table)
      let value = try await body(&transaction)
      #expect(Set(transaction.writes.map(\.key)).count == transaction.writes.count)
      number += 1
      table.perform(transaction.writes, number: number)
      return value
    }

    func make(
      _ parent: InodeID, _ name: String, _ kind: FileKind = .regular
    ) async throws -> Inode {
      var new = NewInode(kind: kind, mode: 0o644, owner: 1, group: 2)
      if kind == .symlink { new.target = Array("elsewhere".utf8) }
      return try await run { [new] in try await $0.create(parent, FileName(name), new) }
    }

    func inode(_ id: InodeID) async throws -> Inode? { try await run { try await $0.inode(id) } }
    func child(_ parent: InodeID, _ name: String) async throws -> Inode? {
      try await run { try await $0.child(parent, FileName(name)) }
    }

    /// Of the root.
    var entries: [FileName: InodeID] { entries(of: .root) }

    func entries(of directory: InodeID) -> [FileName: InodeID] {
      var entries: [FileName: InodeID] = [:]
      for (key, row) in table.rows {
        if case .entry(directory, let name) = key { entries[name] = row.value.child }
      }
      return entries
    }

    func rename(
      _ parent: InodeID, _ name: String, _ newParent: InodeID, _ newName: String,
      _ mode: RenameMode = .replace
    ) async throws {
      _ = try await run {
        try await $0.rename(parent, FileName(name), to: newParent, FileName(newName), mode)
      }
    }
  }

  func refuses(
    _ code: DFSError.Code, at place: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
  ) async {
    do {
      try await body()
      Issue.record("it was not refused with \(code)", sourceLocation: place)
    } catch {
      #expect((error as? DFSError)?.code == code, "\(error)", sourceLocation: place)
    }
  }

  /// Operations of several programs become one transaction: each sees what those before it wrote.
  @Test func operationsOfOneTransactionSeeEachOther() async throws {
    let tree = Tree()
    let (first, second) = (try FileName("first"), try FileName("second"))
    let (one, other) = (try await tree.make(.root, "one"), try await tree.make(.root, "other"))
    let new = NewInode(kind: .directory, mode: 0o755, owner: 1, group: 2)
    let made = try await tree.run { transaction in
      let made = try await transaction.create(.root, first, new)
      await refuses(.exists) { _ = try await transaction.create(.root, first, new) }
      _ = try await transaction.create(.root, second, new)
      _ = try await transaction.link(one.id, to: made.id, first)
      _ = try await transaction.link(one.id, to: made.id, second)
      _ = try await transaction.unlink(.root, try FileName("other"))
      await refuses(.notFound) { _ = try await transaction.unlink(.root, try FileName("other")) }
      var change = AttributeChange()
      change.mode = 0o600
      _ = try await transaction.setAttributes(one.id, change)
      _ = try await transaction.rename(
        .root, try FileName("one"), to: made.id, try FileName("third"), .replace)
      return made
    }
    let root = try #require(try await tree.inode(.root))
    #expect(root.links == 4)
    #expect(tree.entries.keys.sorted() == [first, second])
    #expect(tree.entries(of: made.id).count == 3)
    let linked = try #require(try await tree.inode(one.id))
    #expect(linked.links == 3 && linked.mode == 0o600)
    #expect(try await tree.inode(other.id) == nil)
  }

  @Test func whatIsMadeIsThere() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    #expect(file.links == 1 && file.mode == 0o644 && file.owner == 1 && file.group == 2)
    #expect(try await tree.child(.root, "a") == file)
    #expect(try await tree.child(.root, "b") == nil)
    let root = try #require(try await tree.inode(.root))
    #expect(root.links == 2 && root.modified == file.modified)
    await refuses(.exists) { _ = try await tree.make(.root, "a") }
    await refuses(.notDirectory) { _ = try await tree.make(file.id, "x") }
    await refuses(.notFound) { _ = try await tree.make(InodeID(99), "x") }
  }

  @Test func directoriesCountTheirSubdirectories() async throws {
    let tree = Tree()
    let directory = try await tree.make(.root, "d", .directory)
    #expect(directory.links == 2 && directory.parent == .root)
    _ = try await tree.make(directory.id, "e", .directory)
    _ = try await tree.make(directory.id, "f")
    #expect(try await tree.inode(directory.id)?.links == 3)
    #expect(try await tree.inode(.root)?.links == 3)
    await refuses(.notEmpty) {
      _ = try await tree.run { try await $0.removeDirectory(.root, FileName("d")) }
    }
    await refuses(.isDirectory) {
      _ = try await tree.run { try await $0.unlink(directory.id, FileName("e")) }
    }
    await refuses(.notDirectory) {
      _ = try await tree.run { try await $0.removeDirectory(directory.id, FileName("f")) }
    }
    _ = try await tree.run { try await $0.removeDirectory(directory.id, FileName("e")) }
    _ = try await tree.run { try await $0.unlink(directory.id, FileName("f")) }
    #expect(try await tree.inode(directory.id)?.links == 2)
    let old = try await tree.run { try await $0.removeDirectory(.root, FileName("d")) }
    #expect(old.id == directory.id)
    #expect(try await tree.inode(.root)?.links == 2)
    #expect(tree.table.rows.count == 1)
  }

  @Test func theLastNameTakesTheInodeWithIt() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    let linked = try await tree.run { try await $0.link(file.id, to: .root, FileName("b")) }
    #expect(linked.links == 2)
    try await tree.run {
      try await $0.setExtendedAttribute(file.id, AttributeName("user.x"), [1, 2], .set)
    }
    let before = try await tree.run { try await $0.unlink(.root, FileName("a")) }
    #expect(before.links == 2)
    #expect(try await tree.inode(file.id)?.links == 1)
    _ = try await tree.run { try await $0.unlink(.root, FileName("b")) }
    #expect(try await tree.inode(file.id) == nil)
    #expect(tree.table.rows.count == 1)
    await refuses(.notFound) {
      _ = try await tree.run { try await $0.unlink(.root, FileName("b")) }
    }
    await refuses(.staleHandle) {
      _ = try await tree.run { try await $0.link(file.id, to: .root, FileName("c")) }
    }
  }

  @Test func linkRules() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    let directory = try await tree.make(.root, "d", .directory)
    await refuses(.notPermitted) {
      _ = try await tree.run { try await $0.link(directory.id, to: .root, FileName("e")) }
    }
    await refuses(.exists) {
      _ = try await tree.run { try await $0.link(file.id, to: .root, FileName("d")) }
    }
  }

  @Test func symbolicLinksHaveLimits() async throws {
    let tree = Tree()
    #expect(try await tree.make(.root, "l", .symlink).size == 9)
    for (count, code) in [(0, DFSError.Code.notFound), (4096, .nameTooLong)] {
      var new = NewInode(kind: .symlink, mode: 0o777, owner: 0, group: 0)
      new.target = Array(repeating: 65, count: count)
      await refuses(code) { [new] in
        _ = try await tree.run { try await $0.create(.root, FileName("m"), new) }
      }
    }
  }

  // MARK: Rename

  @Test func renameMovesAcrossDirectories() async throws {
    let tree = Tree()
    let one = try await tree.make(.root, "one", .directory)
    let two = try await tree.make(.root, "two", .directory)
    let moved = try await tree.make(one.id, "d", .directory)
    try await tree.rename(one.id, "d", two.id, "e")
    #expect(try await tree.child(one.id, "d") == nil)
    let after = try #require(try await tree.child(two.id, "e"))
    #expect(after.id == moved.id && after.parent == two.id)
    #expect(try await tree.inode(one.id)?.links == 2)
    #expect(try await tree.inode(two.id)?.links == 3)
    await refuses(.notFound) { try await tree.rename(one.id, "d", two.id, "f") }
  }

  @Test func renameReplacesFilesAndEmptyDirectories() async throws {
    let tree = Tree()
    let first = try await tree.make(.root, "a")
    let second = try await tree.make(.root, "b")
    try await tree.rename(.root, "a", .root, "b")
    #expect(try await tree.child(.root, "b")?.id == first.id)
    #expect(try await tree.inode(second.id) == nil)
    let directory = try await tree.make(.root, "d", .directory)
    let full = try await tree.make(.root, "e", .directory)
    let inner = try await tree.make(full.id, "x")
    await refuses(.notEmpty) { try await tree.rename(.root, "d", .root, "e") }
    await refuses(.notDirectory) { try await tree.rename(.root, "d", .root, "b") }
    await refuses(.isDirectory) { try await tree.rename(.root, "b", .root, "d") }
    await refuses(.exists) { try await tree.rename(.root, "b", full.id, "x", .noReplace) }
    try await tree.rename(full.id, "x", .root, "y")
    #expect(try await tree.child(.root, "y")?.id == inner.id)
    try await tree.rename(.root, "d", .root, "e")
    #expect(try await tree.child(.root, "e")?.id == directory.id)
    #expect(try await tree.inode(full.id) == nil)
    #expect(try await tree.inode(.root)?.links == 3)
  }

  @Test func renameOfTwoNamesOfOneObjectDoesNothing() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    _ = try await tree.run { try await $0.link(file.id, to: .root, FileName("b")) }
    try await tree.rename(.root, "a", .root, "b")
    try await tree.rename(.root, "a", .root, "a")
    #expect(try await tree.child(.root, "a")?.links == 2)
    #expect(try await tree.child(.root, "b")?.links == 2)
  }

  @Test func aDirectoryDoesNotMoveBelowItself() async throws {
    let tree = Tree()
    let top = try await tree.make(.root, "top", .directory)
    let middle = try await tree.make(top.id, "middle", .directory)
    _ = try await tree.make(middle.id, "file")
    await refuses(.invalidArgument) { try await tree.rename(.root, "top", top.id, "x") }
    await refuses(.invalidArgument) { try await tree.rename(.root, "top", middle.id, "x") }
    await refuses(.invalidArgument) {
      try await tree.rename(middle.id, "file", .root, "top", .exchange)
    }
    await refuses(.notEmpty) { try await tree.rename(top.id, "middle", .root, "top") }
  }

  @Test func exchangeSwapsWhatTheNamesLeadTo() async throws {
    let tree = Tree()
    let one = try await tree.make(.root, "one", .directory)
    let two = try await tree.make(.root, "two", .directory)
    let directory = try await tree.make(one.id, "d", .directory)
    let file = try await tree.make(two.id, "f")
    try await tree.rename(one.id, "d", two.id, "f", .exchange)
    #expect(try await tree.child(two.id, "f")?.id == directory.id)
    #expect(try await tree.child(two.id, "f")?.parent == two.id)
    #expect(try await tree.child(one.id, "d")?.id == file.id)
    #expect(try await tree.inode(one.id)?.links == 2)
    #expect(try await tree.inode(two.id)?.links == 3)
    await refuses(.notFound) { try await tree.rename(one.id, "d", two.id, "g", .exchange) }
  }

  // MARK: Attributes and contents

  @Test func attributesChangeAsAsked() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    var change = AttributeChange()
    change.mode = 0o107777
    change.owner = 7
    change.modified = Timestamp(nanoseconds: -5)
    let after = try await tree.run { [change] in try await $0.setAttributes(file.id, change) }
    #expect(after.mode == 0o7777 && after.owner == 7 && after.group == 2)
    #expect(after.modified == Timestamp(nanoseconds: -5) && after.changed > file.changed)
    await refuses(.staleHandle) {
      _ = try await tree.run { [change] in try await $0.setAttributes(InodeID(99), change) }
    }
  }

  @Test func extendedAttributes() async throws {
    let tree = Tree()
    let file = try await tree.make(.root, "a")
    let name = try AttributeName("user.x")
    func set(_ bytes: Int, _ mode: AttributeSetMode, _ name: AttributeName) async throws {
      try await tree.run {
        try await $0.setExtendedAttribute(
          file.id, name, Array(repeating: 1, count: bytes), mode)
      }
    }
    await refuses(.noAttribute) { try await set(1, .replace, name) }
    try await set(1, .create, name)
    await refuses(.exists) { try await set(1, .create, name) }
    try await set(65536, .replace, name)
    await refuses(.outOfRange) { try await set(65537, .set, name) }
    #expect(try await tree.run { try await $0.attributes(file.id) }[name]?.count == 65536)
    for index in 0..<2 { try await set(65536, .set, AttributeName("user.\(index)")) }
    await refuses(.noSpace) { try await set(65536, .set, AttributeName("user.y")) }
    // The kernel lists no more names than this.
    let many = try await tree.make(.root, "many")
    let name255 = { (index: Int) in
      try AttributeName(Array("user.\(100 + index)".utf8) + [UInt8](repeating: 47, count: 247))
    }
    for index in 0..<256 {
      try await tree.run {
        try await $0.setExtendedAttribute(many.id, name255(index), [], .set)
      }
    }
    await refuses(.noSpace) {
      try await tree.run { try await $0.setExtendedAttribute(many.id, name255(256), [], .set) }
    }
    try await tree.run { try await $0.removeExtendedAttribute(file.id, name) }
    await refuses(.noAttribute) {
      try await tree.run { try await $0.removeExtendedAttribute(file.id, name) }
    }
  }

  @Test func aReservedInodeGetsItsNameAndContentAtOnce() async throws {
    let tree = Tree()
    let ids = try await [tree.run { $0.reserveInode() }, tree.run { $0.reserveInode() }]
    #expect(ids[0] != ids[1] && tree.table.rows.isEmpty)
    let (name, attribute) = (try FileName("a"), try AttributeName("user.x"))
    let inode = Inode(
      id: ids[0], kind: .regular, mode: 0o600, owner: 3, group: 4, links: 0,
      time: Timestamp(nanoseconds: 1))
    let target = PublishTarget.nameless(
      inode, [attribute: [1]], modified: Timestamp(nanoseconds: 77), parent: .root, name)
    let one = version("one")
    let made = try await tree.run { try await $0.publish(one, to: target) }
    #expect(made.id == ids[0] && made.links == 1 && made.content == one && made.owner == 3)
    #expect(made.modified == Timestamp(nanoseconds: 77))
    #expect(try await tree.child(.root, "a") == made)
    #expect(try await tree.inode(.root)?.modified == made.changed)
    #expect(try await tree.run { try await $0.attributes(made.id) } == [attribute: [1]])
    await refuses(.exists) { _ = try await tree.run { try await $0.publish(one, to: target) } }
    let other = try await tree.make(.root, "b")
    #expect(!ids.contains(other.id))
  }

  func version(_ text: String) -> Content {
    let md5 = MD5Digest.of(Array(text.utf8))
    return Content(
      id: .random(), size: UInt64(text.utf8.count), md5: md5, placement: Placement(md5: md5),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
  }

  @Test func aPublishedVersionIsTheContent() async throws {
    let tree = Tree()
    let new = NewInode(kind: .regular, mode: 0o600, owner: 3, group: 4)
    let (one, two) = (version("one"), version("two and more"))
    let name = try FileName("a")
    let file = try await tree.run {
      try await $0.publish(one, to: .name(parent: .root, name, new))
    }
    #expect(file.content == one && file.mode == 0o600 && file.size == 3)
    let again = try await tree.run {
      try await $0.publish(two, to: .name(parent: .root, name, new))
    }
    #expect(again.id == file.id && again.content == two)
    let time = Timestamp(nanoseconds: 77)
    let third = try await tree.run {
      try await $0.publish(one, to: .inode(file.id, modified: time, changed: time))
    }
    #expect(third.content == one && third.modified == time && third.changed == time)
    let later = Timestamp(nanoseconds: 1 << 40)
    let fourth = try await tree.run {
      try await $0.publish(two, to: .inode(file.id, modified: time, changed: later))
    }
    #expect(fourth.changed == later)
    var change = AttributeChange()
    (change.mode, change.owner, change.accessed) = (0o640, 7, later)
    let attributes = change
    let fifth = try await tree.run {
      try await $0.publish(
        one, to: .inode(file.id, modified: time, changed: time, attributes: attributes))
    }
    #expect(fifth.content == one && fifth.modified == time && fifth.changed == later)
    #expect((fifth.mode, fifth.owner, fifth.group) == (0o640, 7, 4) && fifth.accessed == later)
    let directory = try await tree.make(.root, "d", .directory)
    await refuses(.isDirectory) {
      _ = try await tree.run {
        try await $0.publish(one, to: .inode(directory.id, modified: time, changed: time))
      }
    }
    await refuses(.staleHandle) {
      _ = try await tree.run {
        try await $0.publish(one, to: .inode(InodeID(9), modified: time, changed: time))
      }
    }
  }
}

extension Transaction {
  /// Publishes a whole content.
  mutating func publish(
    _ content: Content, to target: PublishTarget, own: Set<VersionID> = []
  ) async throws -> Inode {
    try await publish(.whole(content, isAppended: false), to: target, own: own)
  }
}
