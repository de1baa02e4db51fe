import DFSCore
import DFSWire
import Testing

@testable import DFSClient

/// Pages of a directory that no honest server sends.
@Suite struct ListingTests {
  private let directory = InodeID(500)

  private func page(_ names: [String], isPartial: Bool = false) throws -> NamespacePage {
    let rows = try names.enumerated().flatMap { index, name in
      let inode = Inode(
        id: InodeID(UInt64(1000 + index)), kind: .regular, mode: 0o644, owner: 0, group: 0,
        time: Timestamp(nanoseconds: 0))
      return [
        Row(
          key: .entry(parent: directory, name: try FileName(name)), change: 1,
          value: RowValue(bytes: [], child: inode.id)),
        Row(key: .inode(inode.id), change: 1, value: try #require(inode.row.value)),
      ]
    }
    let answer = QueryAnswer(rows: rows, isPartial: isPartial)
    return try NamespacePage(
      [.directory(directory, after: nil)], .init(answers: [answer], head: .blank))
  }

  @Test func aNameComesOnce() throws {
    let names = try page(["a", "b", "c"]).items(of: directory, after: FileName("Z")).map(
      \.name.text)
    #expect(names == ["a", "b", "c"])
    #expect(throws: DFSError.self) { try page(["a", "b", "a"]).items(of: directory, after: nil) }
  }

  @Test func aPageGoesOnFromTheOneBefore() throws {
    for after in ["a", "b"] {
      #expect(throws: DFSError.self) {
        try page(["a", "b"]).items(of: directory, after: FileName(after))
      }
    }
    #expect(throws: DFSError.self) {
      try page([], isPartial: true).items(of: directory, after: FileName("b"))
    }
  }
}
