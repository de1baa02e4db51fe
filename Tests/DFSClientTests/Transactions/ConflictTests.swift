import DFSCore
import Testing

@testable import DFSClient

/// What is kept beside a file, since two clients wrote it, or one wrote what another removed.
extension TransactionTests {
  @Test func whatOthersPublishedMeanwhileIsKept() async throws {
    let tree = Tree()
    let name = try FileName("a")
    let new = NewInode(kind: .regular, mode: 0o640, owner: 3, group: 4)
    let (first, theirs, mine) = (version("first"), version("theirs"), version("mine"))
    let file = try await tree.run {
      try await $0.publish(first, to: .name(parent: .root, name, new))
    }
    let opened = OpenedVersion(version: first.id, parent: .root, name: name, host: "here")
    let time = Timestamp(nanoseconds: 77)
    let publish = { (version: Content, own: Set<VersionID>) async throws -> Inode in
      try await tree.run {
        try await $0.publish(
          version, to: .inode(file.id, modified: time, changed: time, opened: opened), own: own)
      }
    }
    // Nobody else changed it, or only we did, or it is the same.
    #expect(try await publish(theirs, []).content == theirs)
    #expect(try await publish(mine, [theirs.id]).content == mine)
    #expect(try await publish(version("mine"), []).size == 4)
    #expect(tree.entries.keys.sorted() == [name])
    let before = try await publish(theirs, [])
    #expect(before.content == theirs && before.id == file.id)
    let kept = tree.entries.filter { $0.key != name }
    let keptID = try #require(kept.values.first)
    let copy = try #require(await tree.inode(keptID))
    #expect(kept.count == 1 && copy.content?.md5 == mine.md5)
    #expect(copy.mode == 0o640 && copy.owner == 3 && copy.links == 1)
    #expect(kept.keys.first?.description.hasPrefix("a (conflict here ") == true)
    // Within the same second another name is found.
    _ = try await publish(mine, [])
    #expect(tree.entries.count == 3)
  }

  @Test func whatWasWrittenToARemovedFileIsKept() async throws {
    let tree = Tree()
    let directory = try await tree.make(.root, "d", .directory)
    let file = try await tree.make(directory.id, "a", .regular)
    let attributes = NewInode(kind: .regular, mode: 0o640, owner: 7, group: 8)
    let time = Timestamp(nanoseconds: 77)
    let (first, second) = (version("first"), version("second"))
    let publish = { (id: InodeID, content: Content, attributes: NewInode?) async throws -> Inode in
      let opened = OpenedVersion(
        version: first.id, parent: directory.id, name: try FileName("a"), host: "here",
        attributes: attributes)
      return try await tree.run {
        try await $0.publish(
          content, to: .inode(id, modified: time, changed: time, opened: opened))
      }
    }
    // Replaced by another file, which stays as it is.
    let other = try await tree.make(directory.id, "b", .regular)
    try await tree.rename(directory.id, "b", directory.id, "a")
    await refuses(.staleHandle) { _ = try await publish(file.id, version("x"), nil) }
    #expect(tree.entries(of: directory.id).count == 1)
    let kept = try await publish(file.id, first, attributes)
    #expect(kept.id != file.id && kept.content == first && kept.links == 1)
    #expect(kept.mode == 0o640 && kept.owner == 7 && kept.group == 8 && kept.modified == time)
    #expect(try await tree.child(directory.id, "a") == tree.inode(other.id))
    let name = try #require(tree.entries(of: directory.id).first { $0.value == kept.id }?.key)
    #expect(name.description.hasPrefix("a (conflict here "))
    #expect(try await tree.child(directory.id, name.description)?.id == kept.id)
    // It goes on in that file.
    #expect(try await publish(kept.id, second, attributes).id == kept.id)
    // At the top, if the directory is gone, too.
    for name in ["a", name.description] {
      _ = try await tree.run { try await $0.unlink(directory.id, FileName(name)) }
    }
    _ = try await tree.run { try await $0.removeDirectory(.root, FileName("d")) }
    let atTop = try await publish(kept.id, second, attributes)
    #expect(tree.entries.keys.first?.description.hasPrefix("a (conflict here ") == true)
    #expect(tree.entries.values.first == atTop.id)
  }

  @Test func aConflictNameIsNeverTooLong() throws {
    for (text, stem) in [("ä", 2), ("a", 1)] {
      let long = try FileName(Array(String(repeating: text, count: 255 / stem).utf8))
      let opened = OpenedVersion(version: nil, parent: .root, name: long, host: "a/b c")
      let name = try opened.conflictName(at: Timestamp(nanoseconds: 0), number: 12)
      #expect(name.bytes.count <= Limits.nameBytes && name.bytes.count > Limits.nameBytes - stem)
      #expect(String(validating: name.bytes, as: UTF8.self) != nil)
      #expect(name.description.contains(" (conflict abc ") && name.description.hasSuffix(" 12)"))
    }
  }
}
