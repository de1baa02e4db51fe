import DFSCore
import DFSReplication
import DFSStoreFixtures
import Testing

@testable import DFSStore

@Suite struct LogAndStateTransferTests {
  private let place = TemporaryDirectory()
  private let other = TemporaryDirectory()

  private func log(
    _ user: UserStore, after number: UInt64
  ) async throws -> (base: RowDigest?, entries: [LogEntry]) {
    let reply = try await user.namespace(.log(after: number), parts: [], held: [], durable: false)
    guard case .log(let base, let entries, let head) = reply else { return (nil, []) }
    #expect(head == user.head())
    return (base, entries)
  }

  @Test func theLogAnswersWithTheDigestAtItsBase() async throws {
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    var digests = [user.head().digest]
    for number in 1...5 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "f\(number)"))
      digests.append(user.head().digest)
    }
    for after in 0...5 as ClosedRange<UInt64> {
      let (base, entries) = try await log(user, after: after)
      #expect(base == digests[Int(after)])
      #expect(entries.map(\.number) == (after..<5).map { $0 + 1 })
      #expect(
        entries.first?.change == (after < 5 ? Fixture.create(after + 1, "f\(after + 1)") : nil))
    }
    #expect(try await log(user, after: 6).base == nil)
  }

  @Test func theLogIsTrimmedByCount() async throws {
    var options = StoreOptions()
    options.logChanges = 10
    let store = try Fixture.open(place.path, options: options)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    for number in 1...37 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "f\(number)"))
    }
    #expect(try await log(user, after: 26).base == nil)
    let (base, entries) = try await log(user, after: 27)
    #expect(base != nil)
    #expect(entries.count == 10)
    await store.close()
    let again = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    #expect(try await log(again, after: 27).base == base)
  }

  @Test func theLogIsTrimmedByBytesAndAnsweredInPages() async throws {
    var options = StoreOptions()
    options.logBytes = 3 << 20
    let user = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    try await user.begin()
    for number in 1...60 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "f", value: Fixture.bytes(100_000)))
    }
    let bytes = try await user.writer.exclusive { state, _ in state.ledger?.logBytes ?? 0 }
    // A sixteenth more before the oldest go.
    #expect(bytes <= (3 << 20) * 17 / 16 && bytes > 2 << 20)
    let (base, entries) = try await log(user, after: 35)
    #expect(base != nil)
    #expect((1...11).contains(entries.count))
    #expect(entries.first?.number == 36)
  }

  @Test func aRefillReplacesAllRows() async throws {
    let source = try await Fixture.open(place.path).user(Fixture.alice)
    let target = try await Fixture.open(other.path).user(Fixture.alice)
    try await source.begin()
    try await target.begin(Fixture.view(2))
    for number in 1...30 as ClosedRange<UInt64> {
      try await source.apply(Fixture.create(number, "f\(number)", version: .random()))
    }
    // The target diverged: other rows under some of the same keys.
    for number in 1...20 as ClosedRange<UInt64> {
      let change = Fixture.create(number, "f\(number * 2)", value: [8], client: 8)
      try await target.apply(change, Fixture.view(2))
    }
    let view = Fixture.view(3)
    _ = try await target.namespace(.prepare(view), parts: [], held: [], durable: false)
    #expect(try await target.refillBegin(session: 1, view) == nil)
    let rows = try await source.query([.everything(after: nil)]).answers[0].rows
    try await target.refillRows(session: 1, Array(rows.prefix(20)))
    // A page that comes twice is no harm.
    try await target.refillRows(session: 1, Array(rows.prefix(20)))
    try await target.refillRows(session: 1, Array(rows.dropFirst(20)))
    let reply = try await target.refillEnd(session: 1, view, to: source.head())
    #expect(reply == .installed(target.head()))
    #expect(target.head().hasSameRows(as: source.head()) && target.head().view == view)
    #expect(try await target.checkRows() == target.head())
    #expect(try await target.query([.everything(after: nil)]).answers[0].rows == rows)
    // Changes go on from there, and the log begins there.
    #expect(try await log(target, after: 30).base == source.head().digest)
    #expect(try await log(target, after: 29).base == nil)
    try await target.apply(Fixture.create(31, "g"), view)
    #expect(try await log(target, after: 30).entries.count == 1)
    #expect(try await target.space().inodes == 31)
  }

  /// Pages that were read while changes came, and then those changes, are the rows as they are.
  @Test func changesThatCameMeanwhileArePerformedOnARefill() async throws {
    let source = try await Fixture.open(place.path).user(Fixture.alice)
    let target = try await Fixture.open(other.path).user(Fixture.alice)
    try await source.begin()
    for number in 1...30 as ClosedRange<UInt64> {
      try await source.apply(Fixture.create(number, "f\(number)", version: .random()))
    }
    let before = try await source.query([.everything(after: nil)]).answers[0].rows
    // One row is replaced, one removed, one made, and made again after it was removed.
    try await source.apply(Fixture.replace(InodeID(change: 1, index: 0), .random(), sequence: 31))
    try await source.apply(Fixture.replace(InodeID(change: 30, index: 0), nil, sequence: 32))
    try await source.apply(Fixture.create(33, "made", version: .random()))
    try await source.apply(Fixture.replace(InodeID(change: 2, index: 0), nil, sequence: 34))
    try await source.apply(Fixture.replace(InodeID(change: 2, index: 0), .random(), sequence: 35))
    let after = try await source.query([.everything(after: nil)]).answers[0].rows
    let view = Fixture.view(3)
    _ = try await target.namespace(.prepare(view), parts: [], held: [], durable: false)
    #expect(try await target.refillBegin(session: 1, view) == nil)
    // The first page was read before them, the others after them.
    let middle = before[before.count / 2].key
    try await target.refillRows(session: 1, Array(before.prefix { $0.key != middle }))
    try await target.refillRows(session: 1, Array(after.drop { $0.key != middle }))
    try await target.refillChanges(session: 1, try await log(source, after: 30).entries)
    let reply = try await target.refillEnd(session: 1, view, to: source.head())
    #expect(reply == .installed(target.head()))
    #expect(target.head().hasSameRows(as: source.head()))
    #expect(try await target.checkRows() == target.head())
    #expect(try await target.query([.everything(after: nil)]).answers[0].rows == after)
  }

  /// A server keeps its rows but for those of a change that others dropped.
  @Test func aRefillBeginsWithTheRowsThatAreThere() async throws {
    let source = try await Fixture.open(place.path).user(Fixture.alice)
    let target = try await Fixture.open(other.path).user(Fixture.alice)
    let both = (1...30 as ClosedRange<UInt64>).map {
      Fixture.create($0, "f\($0)", version: .random())
    }
    for user in [source, target] {
      try await user.begin()
      for change in both { try await user.apply(change) }
    }
    let common = target.head()
    #expect(common.number == 30 && common == source.head())
    try await target.apply(Fixture.create(31, "dropped", version: .random(), client: 8))
    try await source.apply(Fixture.create(31, "f31"))
    try await source.apply(Fixture.create(32, "f32"))
    let view = Fixture.view(3)
    _ = try await target.namespace(.prepare(view), parts: [], held: [], durable: false)
    let dropped = try await log(target, after: 30).entries.flatMap { $0.change.writes.map(\.key) }
    let wrong = OwnRows(head: common, without: dropped)
    #expect(try await target.refillBegin(session: 1, view, own: wrong) == .behind(target.head()))
    let own = OwnRows(head: target.head(), without: dropped)
    #expect(try await target.refillBegin(session: 1, view, own: own) == nil)
    let rows = try await source.query([.everything(after: nil)]).answers[0].rows
    try await target.refillRows(session: 1, rows.filter { dropped.contains($0.key) })
    try await target.refillChanges(session: 1, try await log(source, after: 30).entries)
    // A later view has been promised; the rows are as good in that one.
    let later = Fixture.view(4)
    _ = try await target.namespace(.prepare(later), parts: [], held: [], durable: false)
    let early = try await target.refillEnd(session: 1, view, to: source.head())
    #expect(early == .refused(later))
    let reply = try await target.refillEnd(session: 1, later, to: source.head())
    #expect(reply == .installed(target.head()))
    #expect(target.head().hasSameRows(as: source.head()) && target.head().view == later)
    #expect(try await target.checkRows() == target.head())
    #expect(try await target.query([.everything(after: nil)]).answers[0].rows == rows)
  }

  @Test func anUnfinishedOrWrongRefillChangesNothing() async throws {
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    try await user.apply(Fixture.create(1, "a"))
    let head = user.head()
    let view = Fixture.view(2)
    _ = try await user.namespace(.prepare(view), parts: [], held: [], durable: false)
    #expect(try await user.refillBegin(session: 1, Fixture.view(1)) == .refused(view))
    #expect(try await user.refillBegin(session: 1, view) == nil)
    let row = Row(key: .inode(InodeID(900)), change: 1, value: RowValue(bytes: [1]))
    try await user.refillRows(session: 1, [row])
    let to = Head(view: view, number: 9, digest: .empty)
    #expect(try await user.refillEnd(session: 1, view, to: to) == .behind(head))
    #expect(await failure { try await user.refillRows(session: 1, [row]) } == .protocolViolation)
    #expect(try await user.refillBegin(session: 2, view) == nil)
    try await user.refillRows(session: 2, [row])
    user.endSession(2)
    #expect(user.head() == head)
    #expect(try await user.checkRows() == head)
  }

  @Test func aLateRefillNeverUndoesWhatWasAppended() async throws {
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    let view = Fixture.view(1)
    #expect(try await user.refillBegin(session: 1, view) == nil)
    try await user.begin(view)
    try await user.apply(Fixture.create(1, "a"))
    let reply = try await user.refillEnd(
      session: 1, view, to: Head(view: view, number: 0, digest: .empty))
    #expect(reply == .installed(user.head()))
    #expect(user.head().number == 1)
  }
}
