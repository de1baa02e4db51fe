import DFSCore
import DFSReplication
import DFSStoreFixtures
import Synchronization
import Testing

@testable import DFSStore

/// The decisions of `Replica`, performed on a real database.
@Suite struct NamespaceTests {
  private let place = TemporaryDirectory()

  private func user() async throws -> UserStore {
    try await Fixture.open(place.path).user(Fixture.alice)
  }

  @Test func aViewIsTakenAndChangesAppended() async throws {
    let user = try await user()
    #expect(user.head() == .blank)
    let view = Fixture.view(1)
    let promised = try await user.namespace(.prepare(view), parts: [], held: [], durable: false)
    #expect(promised == .promised(.blank))
    try await user.begin(view)
    #expect(user.head().view == view)
    let reply = try await user.apply(Fixture.create(1, "a"))
    #expect(reply == .applied(user.head()))
    #expect(user.head().number == 1)
    #expect(user.head().digest != .empty)
  }

  @Test func theSameChangeAgainIsTheSameAnswer() async throws {
    let user = try await user()
    try await user.begin()
    let first = try await user.apply(Fixture.create(1, "a"))
    try await user.apply(Fixture.create(2, "b"))
    let head = user.head()
    let again = try await user.apply(Fixture.create(1, "a"), number: 1, durable: true)
    #expect(again == first)
    #expect(user.head() == head)
  }

  @Test func whatDoesNotFollowIsRefused() async throws {
    let user = try await user()
    try await user.begin()
    let head = user.head()
    #expect(try await user.apply(Fixture.create(3, "c"), number: 3) == .behind(head))
    #expect(
      try await user.apply(Fixture.create(1, "a"), Fixture.view(9)) == .refused(Fixture.view(1)))
    _ = try await user.namespace(.prepare(Fixture.view(2)), parts: [], held: [], durable: false)
    #expect(try await user.apply(Fixture.create(1, "a")) == .refused(Fixture.view(2)))
    #expect(user.head() == head)
  }

  @Test func installWithAnotherDigestChangesNothing() async throws {
    let user = try await user()
    try await user.begin()
    try await user.apply(Fixture.create(1, "a"))
    let head = user.head()
    let view = Fixture.view(2)
    _ = try await user.namespace(.prepare(view), parts: [], held: [], durable: false)
    let wrong = Head(view: view, number: 2, digest: RowDigest(high: 1, low: 2))
    let reply = try await user.namespace(
      .install(view, from: head, changes: [Fixture.create(2, "b")], to: wrong), parts: [],
      held: [], durable: false)
    #expect(reply == .behind(head))
    #expect(user.head() == head)
    #expect(try await user.checkRows() == head)
  }

  @Test func twoStoresWithTheSameChangesHaveTheSameDigest() async throws {
    let other = TemporaryDirectory()
    let one = try await user()
    let two = try await Fixture.open(other.path).user(Fixture.alice)
    try await one.begin()
    try await two.begin()
    for number in 1...40 as ClosedRange<UInt64> {
      let change =
        number % 5 == 0
        ? Fixture.replace(InodeID(change: number - 1, index: 0), nil, sequence: number)
        : Fixture.create(number, "file\(number % 7)", value: [UInt8(number)])
      try await one.apply(change)
      if number <= 20 { try await two.apply(change) }
    }
    // The second one is caught up by the log of the first.
    guard
      case .log(let base, let entries, _) = try await one.namespace(
        .log(after: 20), parts: [], held: [], durable: false)
    else { throw DFSError(.protocolViolation, "no log") }
    #expect(base == two.head().digest)
    let view = Fixture.view(2)
    _ = try await two.namespace(.prepare(view), parts: [], held: [], durable: false)
    let reply = try await two.namespace(
      .install(view, from: two.head(), changes: entries.map(\.change), to: one.head()), parts: [],
      held: [], durable: false)
    #expect(reply == .installed(two.head()))
    #expect(two.head().hasSameRows(as: one.head()))
    #expect(two.head().view == view)
    #expect(try await two.checkRows() == two.head())
    #expect(try await one.checkRows() == one.head())
  }

  @Test func aFailingRequestOfABatchLeavesTheOthers() async throws {
    let user = try await user()
    try await user.begin()
    let answers = Mutex<[Result<NamespaceReply, DFSError>]>([])
    let bad = Change(
      id: ChangeID(client: ClientID(7), sequence: 1),
      writes: [
        RowWrite(.inode(InodeID(300)), RowValue(bytes: [1])),
        RowWrite(.inode(InodeID(301)), RowValue(bytes: [1], child: .root)),
      ])
    for change in [bad, Fixture.create(1, "a")] {
      user.submit(
        .apply(Fixture.view(1), number: 1, change), parts: [], held: [], durable: false
      ) { result in answers.withLock { $0.append(result) } }
    }
    try await user.apply(Fixture.create(2, "b"), number: 2)
    let first = answers.withLock { $0 }
    guard case .failure(let error) = first[0], case .success(.applied) = first[1] else {
      Issue.record("\(first)")
      return
    }
    #expect(error.code == .protocolViolation)
    #expect(try await user.checkRows() == user.head())
    let gone = try await user.query([.inode(InodeID(300))])
    #expect(gone.answers[0].rows.isEmpty)
  }

  @Test func submittedRequestsArePerformedInOrder() async throws {
    let user = try await user()
    try await user.begin()
    let order = Mutex<[UInt64]>([])
    for number in 1...200 as ClosedRange<UInt64> {
      user.submit(
        .apply(Fixture.view(1), number: number, Fixture.create(number, "f\(number)")), parts: [],
        held: [], durable: false
      ) { result in
        if case .success(.applied(let head)) = result { order.withLock { $0.append(head.number) } }
      }
    }
    _ = try await user.namespace(.head, parts: [], held: [], durable: false)
    #expect(order.withLock { $0 } == Array(1...200))
    #expect(user.head().number == 200)
  }

  @Test func observersAreToldBeforeTheHeadIsShown() async throws {
    let user = try await user()
    try await user.begin()
    let seen = Mutex<[(keys: [RowKey]?, head: Head, author: UInt64?, shown: UInt64)]>([])
    user.setCommitObserver { [unowned user] keys, head, author, _ in
      let shown = user.head().number
      seen.withLock { $0.append((keys, head, author, shown)) }
    }
    try await user.apply(Fixture.create(1, "a"), session: 5)
    let (_, head) = try await user.query([.inode(.root)])
    let told = seen.withLock { $0 }
    #expect(told.count == 1)
    #expect(told.first?.head == head)
    #expect(told.first?.shown == 0)
    #expect(told.first?.author == 5)
    #expect(told.first?.keys == Fixture.create(1, "a").writes.map(\.key))
  }

  @Test func copiesThatMustBeHereAreAskedFor() async throws {
    let user = try await user()
    try await user.begin()
    let version = VersionID.random()
    let ids = [partID(version, 0), partID(version, 1)]
    let change = Fixture.create(1, "a", version: version)
    #expect(try await user.apply(change, held: ids) == .missingParts(ids))
    try await user.put(ids[0], Fixture.bytes(100))
    #expect(try await user.apply(change, held: ids, durable: true) == .missingParts([ids[1]]))
    #expect(user.head().number == 0)
    try await user.put(ids[1], Fixture.bytes(100))
    #expect(try await user.apply(change, held: ids, durable: true) == .applied(user.head()))
    #expect(user.copies.unsynced.ids.isEmpty)
  }

  @Test func smallCopiesMustMatchTheirChecksumAndTheChange() async throws {
    let user = try await user()
    try await user.begin()
    let version = VersionID.random()
    let change = Fixture.create(1, "a", version: version)
    let bad = InlinePart(
      id: partID(version, 0), bytes: [1, 2], checksum: BlockChecksum.of([1, 3]))
    #expect(await failure { try await user.apply(change, parts: [bad]) } == .damaged)
    let stranger = Fixture.inline(VersionID.random(), 0, [1])
    #expect(
      await failure { try await user.apply(change, parts: [stranger]) } == .protocolViolation)
    #expect(user.head().number == 0)
  }
}
