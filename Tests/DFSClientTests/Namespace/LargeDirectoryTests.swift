import DFSCore
import Testing

@testable import DFSClient

/// What is asked of the servers for a directory grows with its entries, not faster. Counted, not
/// timed.
@Suite(.timeLimit(.minutes(2))) struct LargeDirectoryTests {
  private static let pageRows = 100

  private func fill(_ namespace: Namespace, _ count: Int) async throws {
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    for start in stride(from: 0, to: count, by: 250) {
      try await namespace.transact { transaction in
        for index in start..<min(start + 250, count) {
          _ = try await transaction.create(.root, FileName("\(index)"), new)
        }
      }
    }
  }

  private func questions(_ count: Int) async throws -> (listing: Int, again: Int, removing: Int) {
    let cluster = MemoryCluster()
    for server in cluster.servers { server.limit(pageRows: Self.pageRows) }
    let writer = cluster.client()
    try await fill(writer.namespace(), count)
    let client = cluster.client()
    let namespace = client.namespace()
    let start = client.rowsAsked
    #expect(try await namespace.list(.root, .current).count == count)
    let listed = client.rowsAsked
    #expect(try await namespace.list(.root, .current).count == count)
    for index in 0..<count {
      _ = try await namespace.lookup(.root, FileName("\(index)"), .pushed)
    }
    let again = client.rowsAsked
    for index in 0..<count {
      try await namespace.transact { _ = try await $0.unlink(.root, FileName("\(index)")) }
    }
    #expect(try await namespace.list(.root, .current).isEmpty)
    return (listed - start, again - listed, client.rowsAsked - again)
  }

  @Test func whatIsAskedGrowsInProportion() async throws {
    for count in [500, 1500] {
      let asked = try await questions(count)
      // A page of entries holds their inodes too. The first question asks for the directory as well.
      // A server that answers late is asked no second time: up to four answers for each page.
      #expect(asked.listing <= 4 * (2 * count / Self.pageRows + 2), "\(count): \(asked)")
      #expect(asked.again == 0, "\(count): \(asked)")
      // The attributes of each file, and nothing of the directory.
      #expect(asked.removing <= 2 * count + 8, "\(count): \(asked)")
    }
  }

  /// The kernel forgot what it knew, and with it this client; the directory is still known wholly. With
  /// 512 to 1,000 entries the question was longer than servers take, and was asked for 30 s.
  @Test(arguments: [Limits.queries - 1, Limits.queries, 1000])
  func whatWasForgottenIsAskedForInPieces(count: Int) async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client().namespace()
    try await fill(namespace, count)
    let items = try await namespace.list(.root, .current)
    for item in items { namespace.cache.forget(item.inode.id) }
    #expect(try await namespace.list(.root, .current) == items)
  }

  @Test func aQuestionThatServersRefuseIsNotAskedAgain() async throws {
    let client = MemoryCluster().client()
    let namespace = client.namespace()
    let before = client.asked
    await #expect(throws: DFSError.self) {
      try await namespace.read(
        (0...UInt64(Limits.queries)).map { .inode(InodeID($0 + 256)) })
    }
    #expect(client.asked - before <= 4)
  }

  /// Each name, and each file's attributes, were asked for alone.
  @Test func aDirectoryThatIsGoneThroughComesAsAWhole() async throws {
    let cluster = MemoryCluster()
    let one = cluster.client().namespace()
    let names = try (0..<100).map { try FileName("f\(1000 + $0)") }
    for name in names { _ = try await create(one, "\(name)") }
    let client = cluster.client()
    let two = client.namespace()
    for name in names { _ = try await two.lookup(.root, name, .pushedIfThere) }
    #expect(client.asked <= 4 * Limits.serverCount, "two names, then all")
    _ = try await two.transact { try await $0.unlink(.root, names[0]) }
    let before = client.asked
    for name in names[1...] { _ = try await two.transact { try await $0.unlink(.root, name) } }
    let asked = client.asked - before - (names.count - 1) * Limits.serverCount
    #expect(asked < names.count / 5, "besides the changes themselves")
    #expect(try await two.list(.root, .current).isEmpty)
  }
}
