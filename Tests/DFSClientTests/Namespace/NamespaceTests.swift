import DFSCore
import DFSReplication
import DFSSystem
import DFSTestSupport
import NIOCore
import Testing

@testable import DFSClient

/// The driver, the transactions and the reads, over four servers in memory.
@Suite(.timeLimit(.minutes(2))) struct NamespaceTests {
  private func refuses(
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

  @Test func anEmptyNamespaceHasARoot() async throws {
    let namespace = MemoryCluster().client().namespace()
    #expect(try await namespace.inode(.root, .current).kind == .directory)
    #expect(try await names(namespace) == [])
    await refuses(.notFound) { _ = try await namespace.lookup(.root, FileName("a"), .current) }
    await refuses(.staleHandle) { _ = try await namespace.inode(InodeID(77), .current) }
  }

  @Test func aChangeIsOnAllServersAndSeenByOthers() async throws {
    let cluster = MemoryCluster()
    let (one, two) = (cluster.client().namespace(), cluster.client().namespace())
    let file = try await create(one, "a")
    #expect(try await two.lookup(.root, FileName("a"), .current) == file)
    #expect(try await names(two) == ["a"])
    try await eventually("all four have it") { cluster.servers.allSatisfy { $0.head.number == 1 } }
    #expect(Set(cluster.servers.map(\.head)).count == 1)
    await refuses(.exists) { _ = try await create(two, "a") }
    await refuses(.notDirectory) { _ = try await two.list(file.id, .current) }
    await refuses(.notDirectory) { _ = try await two.lookup(file.id, FileName("x"), .current) }
  }

  /// `ls -l` took a round trip for each file.
  @Test func extendedAttributesOfAListingAreAskedForTogether() async throws {
    let cluster = MemoryCluster()
    let one = cluster.client().namespace()
    let name = try AttributeName("user.a")
    for index in 0..<300 {
      let file = try await create(one, "f\(index)")
      guard index % 100 == 7 else { continue }
      _ = try await one.transact {
        try await $0.setExtendedAttribute(file.id, name, [UInt8(index / 100)], .create)
      }
    }
    let client = cluster.client()
    let two = client.namespace()
    let items = try await two.list(.root, .current)
    let before = client.asked
    // As a mount lists them.
    for item in items.sorted(by: { $0.name.listingPlace < $1.name.listingPlace }) {
      let values = try await two.attributes(item.inode.id, .pushed)
      #expect(values == (try await one.attributes(item.inode.id, .current)))
    }
    // Four messages a question: 1, 1 + 1, 1 + 4, 1 + 16, 1 + 64, 1 + 256 files.
    #expect(client.asked - before <= 6 * 4)
    // Nobody else's are asked for where one file is looked at now and then.
    let third = cluster.client()
    let three = third.namespace()
    _ = try await three.list(.root, .current)
    for item in [items[250], items[10], items[130]] {
      let rows = third.rowsAsked
      _ = try await three.attributes(item.inode.id, .pushed)
      #expect(third.rowsAsked - rows <= 2 * 4)
    }
  }

  /// A healer waited ten minutes for a server that died while it was refilled.
  @Test func nobodyWaitsForALaggingServerThatIsLost() async throws {
    let client = MemoryCluster().client { $0.policy = .quorum }
    let fourth = ServerSet([ServerIndex(3)])
    let namespace = client.namespace()
    _ = try await create(namespace, "a")
    client.set { $0.down = fourth }
    _ = try await create(namespace, "b")
    // There again, and nobody has brought it along yet.
    client.set { $0.down = [] }
    let began = ContinuousClock.now
    async let waited: Void = namespace.driver.catchUpIsOver(within: .seconds(60))
    _ = await namespace.driver.current
    client.set { $0.down = fourth }
    await waited
    #expect(began.duration(to: .now) < .seconds(30))
  }

  /// A client that another supersedes while it transfers a server waited two seconds for the end, and its
  /// programs with it, again and again. Found by two mounts with four programs each.
  @Test func aSupersededClientWaitsForNoLaggingServer() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client { $0.policy = .quorum }
    let namespace = client.namespace()
    for index in 0..<5 { _ = try await create(namespace, "a\(index)") }
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head.number == 5 } }
    for server in cluster.servers { server.trimLog() }
    cluster[4].becomeBlank()
    client.set { $0.delayMicroseconds = 100_000 }
    _ = try await create(namespace, "b")
    try await eventually("DFS4 is being refilled") { cluster[4].isBeingRefilled }
    let began = ContinuousClock.now
    async let waited: Void = namespace.driver.catchUpIsOver(within: .seconds(60))
    _ = try await create(cluster.client { $0.policy = .quorum }.namespace(), "c")
    await waited
    #expect(began.duration(to: .now) < .seconds(30))
  }

  @Test func aViewIsKeptForManyChanges() async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client().namespace()
    for index in 0..<50 { _ = try await create(namespace, "f\(index)") }
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head.number == 50 } }
    #expect(cluster[1].head.view.round == 1)
    #expect(try await names(namespace).count == 50)
  }

  @Test func ofTwoExclusiveCreatesOneWins() async throws {
    let cluster = MemoryCluster()
    let clients = (0..<3).map { _ in cluster.client() }
    for client in clients { client.set { $0.delayMicroseconds = 300 } }
    let namespaces = clients.map { $0.namespace() }
    for round in 0..<40 {
      let winners = await withTaskGroup(of: Bool.self) { group in
        for namespace in namespaces {
          group.addTask {
            do {
              _ = try await create(namespace, "r\(round)")
              return true
            } catch {
              #expect((error as? DFSError)?.code == .exists, "\(error)")
              return false
            }
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(winners == 1)
    }
    for namespace in namespaces { #expect(try await names(namespace).count == 40) }
  }

  @Test func interleavedChangesOfTwoClientsAllHappenOnce() async throws {
    let cluster = MemoryCluster()
    let namespaces = [cluster.client(), cluster.client()].map { $0.namespace() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (owner, namespace) in namespaces.enumerated() {
        group.addTask {
          for index in 0..<200 { _ = try await create(namespace, "c\(owner)-\(index)") }
        }
      }
      try await group.waitForAll()
    }
    for namespace in namespaces { #expect(try await names(namespace).count == 400) }
  }

  @Test func lostMessagesDoNotLoseOrDoubleChanges() async throws {
    let cluster = MemoryCluster()
    let clients = [cluster.client(), cluster.client()]
    for client in clients { client.set { $0.lossPerThousand = 30 } }
    let namespaces = clients.map { $0.namespace() }
    let made = try await withThrowingTaskGroup(of: [String].self) { group in
      for (owner, namespace) in namespaces.enumerated() {
        group.addTask {
          var made: [String] = []
          for index in 0..<60 {
            do {
              _ = try await create(namespace, "c\(owner)-\(index)")
              made.append("c\(owner)-\(index)")
            } catch let error as DFSError where error.code == .serversMissing {
              // A connection was just being lost.
            }
          }
          return made
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    for client in clients { client.set { $0.lossPerThousand = 0 } }
    for namespace in namespaces { #expect(try await names(namespace) == made.sorted()) }
  }

  @Test func aRenameIsSeenByTheOther() async throws {
    let cluster = MemoryCluster()
    let (one, two) = (cluster.client().namespace(), cluster.client().namespace())
    let file = try await create(one, "old")
    let (old, new) = (try FileName("old"), try FileName("new"))
    #expect(try await two.lookup(.root, old, .current) == file)
    _ = try await one.transact { try await $0.rename(.root, old, to: .root, new, .replace) }
    await refuses(.notFound) { _ = try await two.lookup(.root, old, .current) }
    #expect(try await two.lookup(.root, new, .current).id == file.id)
    #expect(try await two.lookup(.root, new, .pushed).id == file.id)
  }

  @Test func whatIsCachedIsNotAskedForAgain() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    let namespace = client.namespace()
    _ = try await create(namespace, "a")
    _ = try await namespace.list(.root, .current)
    let before = client.asked
    for _ in 0..<10 {
      _ = try await namespace.lookup(.root, FileName("a"), .pushed)
      _ = try await namespace.list(.root, .pushed)
      await refuses(.notFound) { _ = try await namespace.lookup(.root, FileName("b"), .pushed) }
    }
    #expect(client.asked == before)
    _ = try await namespace.lookup(.root, FileName("a"), .current)
    #expect(client.asked == before + Limits.quorum, "pings only")
  }

  @Test func aListingAsksOnlyForWhatChanged() async throws {
    let cluster = MemoryCluster()
    let (reader, writer) = (cluster.client(), cluster.client().namespace())
    let namespace = reader.namespace()
    var change = AttributeChange()
    change.mode = 0o600
    for index in 0..<20 { _ = try await create(writer, "f\(index)") }
    _ = try await namespace.list(.root, .current)
    let file = try await writer.lookup(.root, FileName("f7"), .current)
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head.number == 20 } }
    _ = try await writer.transact { [change] in try await $0.setAttributes(file.id, change) }
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head.number == 21 } }
    let before = reader.rowsAsked
    let items = try await namespace.list(.root, .current)
    #expect(items.first { $0.inode.id == file.id }?.inode.mode == 0o600)
    #expect(items.count == 20)
    #expect(reader.rowsAsked == before + 2, "the directory and the file")
  }

  @Test func longDirectoriesComeInPages() async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client().namespace()
    let wanted = (0..<45).map { "f\($0)" }
    for name in wanted { _ = try await create(namespace, name) }
    for server in cluster.servers { server.limit(pageRows: 7) }
    let other = cluster.client().namespace()
    #expect(try await names(other) == wanted.sorted())
    #expect(try await names(other) == wanted.sorted())
  }

  // MARK: Servers missing

  @Test func allFourAreNeededUnlessThePolicySaysThree() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    let namespace = client.namespace()
    _ = try await create(namespace, "a")
    client.set { $0.down = ServerSet([ServerIndex(1)]) }
    do {
      _ = try await create(namespace, "b")
      Issue.record("it was not refused")
    } catch let error as DFSError {
      #expect(error.code == .serversMissing)
      #expect(error.message.contains("DFS2: connection refused"), "\(error)")
      #expect(error.message.contains("writes = all"), "\(error)")
    }
    #expect(try await names(namespace) == ["a"])
    let quorum = cluster.client { $0.policy = .quorum }
    quorum.set { $0.down = ServerSet([ServerIndex(1)]) }
    _ = try await create(quorum.namespace(), "b")
    #expect(try await names(namespace) == ["a", "b"])
  }

  @Test func aFrozenServerCountsAsMissing() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    let namespace = client.namespace()
    _ = try await create(namespace, "a")
    client.set { $0.frozen = ServerSet([ServerIndex(2)]) }
    await refuses(.serversMissing) { _ = try await create(namespace, "b") }
    #expect(try await names(namespace) == ["a"])
  }

  @Test func withTwoServersTheNewestIsShownAndNothingIsWritten() async throws {
    let cluster = MemoryCluster()
    let writer = cluster.client { $0.policy = .quorum }
    let namespace = writer.namespace()
    _ = try await create(namespace, "a")
    writer.set { $0.down = ServerSet([ServerIndex(0)]) }
    _ = try await create(namespace, "b")
    let reader = cluster.client { $0.policy = .quorum }
    reader.set { $0.down = ServerSet([ServerIndex(1), ServerIndex(2)]) }
    try await eventually("DFS4 has it") { cluster[4].head.number == 2 }
    #expect(try await names(reader.namespace()) == ["a", "b"])
    await refuses(.serversMissing) { _ = try await create(reader.namespace(), "c") }
    reader.set { $0.down = ServerSet([ServerIndex(1), ServerIndex(2), ServerIndex(3)]) }
    #expect(try await names(reader.namespace()) == ["a"], "one server still lists what it has")
    reader.set { $0.down = .all }
    await refuses(.serversMissing) { _ = try await names(reader.namespace()) }
  }

  @Test func aServerThatReturnsIsBroughtAlong() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client { $0.policy = .quorum }
    let namespace = client.namespace()
    _ = try await create(namespace, "a")
    client.set { $0.down = ServerSet([ServerIndex(3)]) }
    for index in 0..<70 { _ = try await create(namespace, "f\(index)") }
    #expect(cluster[4].head.number == 1)
    client.set { $0.down = [] }
    await namespace.returned(ServerIndex(3))
    try await eventually("DFS4 has all") { cluster[4].head == cluster[1].head }
  }

  @Test func blankServersAreNotTakenForTheTruth() async throws {
    let cluster = MemoryCluster()
    _ = try await create(cluster.client().namespace(), "a")
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head.number == 1 } }
    cluster[1].becomeBlank()
    cluster[2].becomeBlank()
    let namespace = cluster.client().namespace()
    _ = try await create(namespace, "b")
    #expect(try await names(namespace) == ["a", "b"])
    try await eventually("all are equal") { Set(cluster.servers.map(\.head)).count == 1 }
    for number in 1...3 { cluster[number].becomeBlank() }
    let other = cluster.client().namespace()
    await refuses(.serversMissing) { _ = try await create(other, "c") }
    #expect(try await names(other) == ["a", "b"])
  }

  // MARK: Half done

  @Test func aChangeThatOnlyTwoServersTookIsFinishedOrDroppedByTheNext() async throws {
    let cluster = MemoryCluster()
    for _ in 0..<10 {
      let dying = cluster.client {
        $0.policy = .quorum
        $0.callTimeout = .milliseconds(100)
      }
      let namespace = dying.namespace()
      let other = cluster.client().namespace()
      _ = try await names(namespace)
      dying.set { $0.lossPerThousand = 300 }
      _ = try? await create(namespace, "half")
      let seen = try await names(other)
      #expect(try await names(other) == seen)
      if seen.contains("half") {
        _ = try await other.transact { try await $0.unlink(.root, FileName("half")) }
      } else {
        // The message of the one that gave up may be under way still, and come before this.
        do {
          _ = try await create(other, "half")
        } catch let error as DFSError where error.code == .exists {
          #expect(try await names(other) == ["half"])
        }
        _ = try await other.transact { try await $0.unlink(.root, FileName("half")) }
      }
      #expect(try await names(other) == [])
    }
  }

  @Test func aFullServerIsNamedAndNothingStays() async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client { $0.callTimeout = .seconds(3) }.namespace()
    _ = try await create(namespace, "a")
    cluster[1].refuse(with: DFSError(.noSpace, "the disk is full"))
    _ = try await create(namespace, "b")
    for number in 2...4 {
      cluster[number].refuse(with: DFSError(.noSpace, "the disk is full"))
    }
    await refuses(.noSpace) { _ = try await create(namespace, "c") }
    for server in cluster.servers { server.refuse(with: nil) }
    #expect(try await names(namespace) == ["a", "b"])
    _ = try await create(namespace, "d")
    try await eventually("all are equal") { Set(cluster.servers.map(\.head)).count == 1 }
  }

  /// Healing the others is not held up by a server whose disk refuses.
  @Test func aServerThatRefusesIsNotWaitedForByAHealing() async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client { $0.callTimeout = .seconds(3) }.namespace()
    _ = try await create(namespace, "a")
    cluster[1].refuse(with: DFSError(.noSpace, "the disk is full"))
    _ = try await create(namespace, "b")
    let began = ContinuousClock.now
    #expect(try await namespace.catchUp(within: .seconds(600)) == ServerSet([ServerIndex(0)]))
    #expect(began.duration(to: .now) < .seconds(60))
    cluster[1].refuse(with: nil)
    try await eventually("it is caught up") {
      try await namespace.catchUp(within: .seconds(600)).isEmpty
    }
  }
}
