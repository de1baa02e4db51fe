import DFSCore
import DFSReplication
import Testing

@testable import DFSSimulation

/// Namespaces that are made, joined, taken over and refused.
@Suite struct NamespaceIdentityTests {
  private static func id(_ number: UInt64) -> NamespaceID {
    guard let id = NamespaceID(high: 0, low: number) else {
      preconditionFailure("0 is not an identity")
    }
    return id
  }

  private func namespaces(_ bench: Bench) -> [NamespaceID?] {
    (0..<4).map { bench.head($0).view.namespace }
  }

  /// A namespace of `changes` changes.
  private func made(_ number: UInt64, changes: UInt8 = 3) -> Bench {
    var bench = Bench(client: number, namespace: Self.id(number))
    bench.takeView()
    for change in 0..<changes { bench.append([.note("a\(number)", change)]) }
    return bench
  }

  /// Without the identities, as a release before 1.1 left it.
  private func unnamed(_ bench: Bench) -> Bench {
    var bench = bench
    for index in bench.disks.indices {
      let head = bench.head(index)
      let view = View(round: head.view.round, client: head.view.client)
      bench.disks[index].current.replica = Replica(
        promised: view, head: Head(view: view, number: head.number, digest: head.digest))
    }
    return bench
  }

  @Test func theFirstViewMakesTheNamespace() {
    let bench = made(1, changes: 0)
    #expect(bench.coordinator.phase == .leading)
    #expect(namespaces(bench) == Array(repeating: Self.id(1), count: 4))
  }

  @Test func anotherClientLearnsTheNamespaceFromTheServers() {
    var bench = made(1).other(2, namespace: Self.id(2))
    bench.takeView()
    #expect(bench.told == [.superseded])
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    #expect(bench.coordinator.namespace == Self.id(1))
    #expect(namespaces(bench) == Array(repeating: Self.id(1), count: 4))
  }

  /// Of three blank servers nobody can tell that the fourth has no namespace.
  @Test func aNamespaceIsMadeByAllFourOnly() {
    var bench = Bench(namespace: Self.id(1))
    bench.takeView(reachable: .of(1, 2, 3))
    #expect(bench.coordinator.phase != .leading)
    #expect(namespaces(bench) == [nil, nil, nil, nil])
  }

  @Test func aBlankServerJoins() {
    var bench = made(1)
    bench.disks[2].replace(restoring: false)
    bench = bench.other(2, namespace: Self.id(2))
    bench.coordinator.learn(Self.id(1))
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    #expect(bench.head(2).hasSameRows(as: bench.head(0)))
    #expect(namespaces(bench) == Array(repeating: Self.id(1), count: 4))
  }

  /// In the place of any of the four, with fewer or more changes: it keeps what it has, and the others go on.
  @Test(arguments: 0..<4, [UInt8(1), 3, 9])
  func aForeignServerKeepsWhatItHas(place: Int, changes: UInt8) {
    let foreign = made(7, changes: changes)
    var bench = made(1)
    bench.disks[place] = foreign.disks[place]
    bench = bench.other(2, namespace: Self.id(2))
    bench.coordinator.learn(Self.id(1))
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    bench.append()
    bench.retry()
    #expect(bench.transfers == 0)
    #expect(bench.disks[place].current.replica == foreign.disks[place].current.replica)
    #expect(bench.disks[place].current.rows == foreign.disks[place].current.rows)
    #expect(!bench.coordinator.lagging.contains(ServerIndex(place)))
  }

  @Test func withTwoForeignServersNothingIsChanged() {
    let foreign = made(7, changes: 9)
    var bench = made(1)
    for place in [0, 2] { bench.disks[place] = foreign.disks[place] }
    let before = bench.disks.map(\.current.rows)
    bench = bench.other(2, namespace: Self.id(2))
    bench.coordinator.learn(Self.id(1))
    bench.takeView()
    #expect(bench.told == [.stuck(.foreign(.of(1, 3)))])
    #expect(bench.disks.map(\.current.rows) == before)
  }

  /// A server says no to each step that may change something.
  @Test func everyStepOfAnotherNamespaceIsRefused() {
    let state = made(1).disks[0].current.replica
    for namespace in [Self.id(2), nil] {
      let view = View(round: 99, client: ClientID(9), namespace: namespace)
      let to = Head(view: view, number: state.head.number, digest: state.head.digest)
      let change = Change(id: ChangeID(client: ClientID(9), sequence: 1), writes: [])
      for request: NamespaceRequest in [
        .prepare(view), .install(view, from: state.head, changes: [], to: to),
        .apply(view, number: state.head.number + 1, change),
      ] {
        #expect(state.decide(request, logged: { _ in nil }) == .answer(.foreign(state.head)))
      }
      #expect(state.refusalOfTransfer(view) == .foreign(state.head))
    }
  }

  // MARK: Of a release before

  @Test func rowsWithoutIdentityAreTakenOver() {
    var bench = unnamed(made(1)).other(2, namespace: Self.id(2))
    let rows = bench.disks[0].current.rows
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    #expect(namespaces(bench) == Array(repeating: Self.id(2), count: 4))
    #expect(bench.disks.allSatisfy { $0.current.rows == rows })
    #expect(bench.transfers == 0)
  }

  /// One lacks the last changes: the log shows that it has the same history.
  @Test func aServerThatLagsIsTakenOverToo() {
    var bench = made(1)
    bench.silent = .of(4)
    bench.append([.note("late", 1)])
    bench = unnamed(bench).other(2, namespace: Self.id(2))
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    #expect(namespaces(bench) == Array(repeating: Self.id(2), count: 4))
    #expect(bench.head(3).hasSameRows(as: bench.head(0)))
  }

  @Test func takingOverNeedsAllFour() {
    var bench = unnamed(made(1)).other(2, namespace: Self.id(2))
    bench.takeView(reachable: .of(1, 2, 3))
    #expect(bench.told == [.stuck(.unnamed(.of(4)))])
    #expect(namespaces(bench) == [nil, nil, nil, nil])
  }

  /// Nothing says that rows with another history are of this namespace: they are kept.
  @Test(arguments: [UInt8(1), 3, 9])
  func rowsOfAnotherHistoryAreNotTakenOver(changes: UInt8) {
    let foreign = unnamed(made(7, changes: changes))
    var bench = unnamed(made(1))
    bench.disks[0] = foreign.disks[0]
    let before = bench.disks.map(\.current.rows)
    bench = bench.other(2, namespace: Self.id(2))
    bench.takeView()
    // Where it is superseded: by a promise of a later round.
    if bench.told == [.superseded] { bench.takeView() }
    guard case .stuck(.foreign) = bench.told.last else {
      Issue.record("\(bench.told)")
      return
    }
    #expect(bench.transfers == 0)
    #expect(bench.disks.map(\.current.rows) == before)
  }

  /// What a single foreign server told, before the namespace was made, is not what it is made as.
  @Test func theNamespaceOfAnotherClusterGetsNoSecondHome() {
    var bench = Bench(client: 1, namespace: Self.id(1))
    bench.coordinator.learn(Self.id(7))
    bench.takeView()
    #expect(bench.told == [.superseded])
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    #expect(namespaces(bench) == Array(repeating: Self.id(1), count: 4))
  }

  // MARK: Whom a client believes

  private typealias Members = Membership<NamespaceKind>

  @Test func threeThatAgreeAreBelievedInAnyOrder() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
      var members = Members()
      for server in order {
        members.heard(server == 0 ? Self.id(7) : Self.id(1), from: ServerIndex(server))
      }
      #expect(members.known == Self.id(1))
      #expect(members.foreign == .of(1))
    }
  }

  @Test func ofTwoThatDifferNoneIsUsed() {
    var members = Members()
    members.heard(Self.id(1), from: ServerIndex(0))
    #expect(members.trusted == Self.id(1) && members.foreign.isEmpty)
    members.heard(Self.id(2), from: ServerIndex(1))
    #expect(members.trusted == nil && members.foreign == .of(1, 2))
    members.heard(nil, from: ServerIndex(2))
    #expect(members.foreign == .of(1, 2))
  }

  @Test func whatIsKnownStays() {
    var members = Members()
    members.agreed(Self.id(1))
    for server in ServerIndex.all { members.heard(Self.id(2), from: server) }
    #expect(members.trusted == Self.id(1) && members.foreign == .all)
    members.heard(Self.id(1), from: ServerIndex(0))
    #expect(members.foreign == .of(2, 3, 4))
  }

  @Test func fourServersWithoutAClusterGetOneThatAnyClientMakes() throws {
    let clusters = try (0..<2).map { _ in
      var cluster = ClusterMembership()
      for server in ServerIndex.all { cluster.heard(nil, from: server, identity: "\(server)") }
      #expect(cluster.adoption(together: .of(1, 2, 3)) == nil)
      return try #require(cluster.adoption(together: .all))
    }
    #expect(clusters[0].0 == clusters[1].0)
    #expect(clusters[0].1 == .all)
  }

  /// A server of another cluster among new ones has its own.
  @Test func aClusterIsNotGivenToServersThatMeetOneOfIt() throws {
    let other = try #require(ClusterID(high: 1, low: 1))
    var cluster = ClusterMembership()
    for server in ServerIndex.all {
      cluster.heard(server == ServerIndex(0) ? other : nil, from: server, identity: "\(server)")
    }
    #expect(cluster.foreign == .of(1))
    #expect(cluster.adoption(together: .all) == nil)
  }

  @Test func aBlankServerJoinsTheClusterOfTheOthers() throws {
    let id = try #require(ClusterID(high: 1, low: 1))
    var cluster = ClusterMembership()
    for server in ServerIndex.all {
      cluster.heard(server == ServerIndex(3) ? nil : id, from: server, identity: "\(server)")
    }
    #expect(cluster.adoption(together: .of(1, 2, 3)) == nil)
    let (joined, servers) = try #require(cluster.adoption(together: .all))
    #expect(joined == id && servers == .of(4))
    #expect(cluster.foreign.isEmpty)
  }
}
