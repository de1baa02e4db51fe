import DFSCore
import DFSStoreFixtures
import Testing

@testable import DFSStore

@Suite struct QueryTests {
  private let place = TemporaryDirectory()

  /// A namespace with `count` files in the root, in changes of many rows.
  private func user(files count: Int) async throws -> UserStore {
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    var number: UInt64 = 0
    for start in stride(from: 0, to: count, by: 200) {
      number += 1
      var writes: [RowWrite] = []
      for index in start..<min(start + 200, count) {
        let inode = InodeID(UInt64(1000 + index))
        writes.append(RowWrite(.inode(inode), RowValue(bytes: Fixture.bytes(150))))
        writes.append(
          RowWrite(
            .entry(parent: .root, name: Fixture.fileName("file \(index)")),
            RowValue(bytes: [], child: inode)))
      }
      let id = ChangeID(client: ClientID(7), sequence: number)
      try await user.apply(Change(id: id, writes: writes))
    }
    return user
  }

  private func everything(_ user: UserStore) async throws -> [Row] {
    var rows: [Row] = []
    while true {
      let answer = try await user.query([.everything(after: rows.last?.key)]).answers[0]
      rows += answer.rows
      if !answer.isPartial { return rows }
      #expect(!answer.rows.isEmpty)
    }
  }

  @Test func aDirectoryComesInPagesInByteOrder() async throws {
    let user = try await user(files: 6000)
    var names: [FileName] = []
    var inodes: Set<InodeID> = []
    var pages = 0
    while true {
      let (answers, head) = try await user.query([.directory(.root, after: names.last)])
      #expect(head == user.head())
      pages += 1
      for row in answers[0].rows {
        switch row.key {
        case .entry(.root, let name): names.append(name)
        case .inode(let id): inodes.insert(id)
        default: Issue.record("\(row.key)")
        }
      }
      #expect(answers[0].rows.reduce(0) { $0 + $1.value.bytes.count } <= Limits.answerBytes)
      if !answers[0].isPartial { break }
    }
    #expect(pages > 1)
    #expect(names.count == 6000 && inodes.count == 6000)
    #expect(names == names.sorted())
  }

  @Test func everyRowComesOnceInTheOrderOfKeys() async throws {
    let user = try await user(files: 3000)
    let rows = try await everything(user)
    #expect(rows.count == 6000)
    #expect(Set(rows.map(\.key)).count == 6000)
    var digest = RowDigest.empty
    for row in rows { digest += RowDigest(of: row) }
    #expect(digest == user.head().digest)
  }

  @Test func numbersAreInTheOrderWithoutASign() async throws {
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    let ids = [0, 1, 1 << 62, .max >> 1, 1 << 63, .max - 1, .max] as [UInt64]
    let name = Fixture.fileName("n")
    let attribute = Fixture.attributeName("n")
    var writes: [RowWrite] = []
    for id in ids.shuffled() {
      writes.append(RowWrite(.inode(InodeID(id)), RowValue(bytes: [1])))
      writes.append(
        RowWrite(.entry(parent: InodeID(id), name: name), RowValue(bytes: [], child: InodeID(id))))
      writes.append(
        RowWrite(
          .attribute(InodeID(id), name: attribute), RowValue(bytes: Fixture.bytes(64 << 10))))
    }
    try await user.apply(
      Change(id: ChangeID(client: ClientID(7), sequence: 1), writes: writes))
    let expected =
      ids.map { RowKey.inode(InodeID($0)) }
      + ids.map { RowKey.entry(parent: InodeID($0), name: name) }
      + ids.map { RowKey.attribute(InodeID($0), name: attribute) }
    #expect(try await everything(user).map(\.key) == expected)
    // Page by page from every key.
    for (index, key) in expected.enumerated() {
      let answer = try await user.query([.everything(after: key)]).answers[0]
      #expect(answer.rows.map(\.key) == Array(expected[(index + 1)...].prefix(answer.rows.count)))
    }
  }

  @Test func singleRowsAndAttributes() async throws {
    let user = try await user(files: 10)
    let name = Fixture.attributeName("user.x")
    let inode = InodeID(1003)
    try await user.apply(
      Change(
        id: ChangeID(client: ClientID(7), sequence: 99),
        writes: [RowWrite(.attribute(inode, name: name), RowValue(bytes: [4]))]))
    let (answers, _) = try await user.query([
      .inode(inode), .inode(InodeID(5)), .attributes(inode),
      .entry(parent: .root, name: Fixture.fileName("file 3")),
      .entry(parent: .root, name: Fixture.fileName("none")),
    ])
    #expect(answers.map(\.rows.count) == [1, 0, 1, 2, 0])
    #expect(answers[3].rows[1].key == .inode(inode))
    #expect(answers.allSatisfy { !$0.isPartial })
  }

  @Test func manyQueriesTogetherAreBounded() async throws {
    let user = try await user(files: 6000)
    let (answers, _) = try await user.query([
      .directory(.root, after: nil), .directory(.root, after: nil), .inode(InodeID(1000)),
    ])
    let bytes = answers.flatMap(\.rows).reduce(0) { $0 + $1.value.bytes.count }
    #expect(bytes <= Limits.answerBytes)
    #expect(answers[0].isPartial && answers[1].isPartial)
    #expect(answers[2].rows.count == 1)
    let tooMany = Array(repeating: Query.inode(.root), count: Limits.queries + 1)
    #expect(await failure { _ = try await user.query(tooMany) } == .invalidArgument)
  }
}
