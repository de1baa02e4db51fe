import DFSConfiguration
import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Logging
import Testing

@testable import DFSClient

/// The whole client over four real servers.
@Suite(.serialized, .timeLimit(.minutes(3))) struct FourServerTests {
  private let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)

  private func connect(
    _ servers: FourServers, _ change: (inout ClientConfiguration) -> Void = { _ in }
  ) async throws -> DFSClient {
    var configuration = servers.configuration
    change(&configuration)
    return try await DFSClient.connect(
      configuration, credentials: servers.credentials(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// Runs a test on four servers of its own.
  private func withServers(_ body: (FourServers) async throws -> Void) async throws {
    let servers = try await FourServers()
    do {
      try await body(servers)
    } catch {
      for server in ServerIndex.all { print("--- \(server)\n\(servers.log(of: server))") }
      throw error
    }
    try await servers.remove()
  }

  private static func random(_ count: Int) -> [UInt8] {
    Array(
      (0..<count / 8 + 1).flatMap { _ in UInt64.random(in: 0 ... .max).bigEndianBytes }.prefix(
        count))
  }

  private func names(_ client: DFSClient) async throws -> [String] {
    try await client.list(.root, .current).map(\.name.description)
  }

  private func put(
    _ client: DFSClient, _ name: String, _ bytes: [UInt8]
  ) async throws -> Inode {
    try await client.publish(
      BytesContent(bytes), to: .name(parent: .root, FileName(name), new), durable: true,
      progress: nil)
  }

  private func get(_ client: DFSClient, _ inode: Inode) async throws -> [UInt8] {
    guard let version = inode.version else { return [] }
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < version.size {
      bytes += try await client.read(version, UInt64(bytes.count)..<version.size)
    }
    return bytes
  }

  @Test func twoClientsSeeEachOther() async throws {
    try await withServers { servers in
      let (one, two) = (try await connect(servers), try await connect(servers))
      #expect(try await names(one) == [])
      let name = try FileName("a")
      let file = try await one.create(.root, name, new)
      #expect(try await two.lookup(.root, name, .current) == file)
      try await one.rename(.root, name, to: .root, FileName("b"), .replace)
      await #expect(throws: DFSError.self) { try await two.lookup(.root, name, .current) }
      #expect(try await names(two) == ["b"])
      try await eventually("the push arrives") {
        try await two.list(.root, .pushed).map(\.name.description) == ["b"]
      }
      try await two.setExtendedAttribute(file.id, AttributeName("user.x"), [1], .create)
      #expect(try await two.extendedAttributes(file.id) == [AttributeName("user.x"): [1]])
      #expect(try await one.space().available > 0)
      #expect(await one.serverStates().allSatisfy(\.isUp))
      await one.close()
      await two.close()
    }
  }

  /// What was opened without a name comes with its content, or not at all.
  @Test func aReservedInodeIsNamedWithItsContent() async throws {
    try await withServers { servers in
      let (one, two) = (try await connect(servers), try await connect(servers))
      for size in [0, 5, 9 << 20] {
        let (name, bytes) = (try FileName("f\(size)"), Self.random(size))
        let inode = Inode(
          id: try await one.reserveInode(), kind: .regular, mode: 0o600, owner: 1, group: 2,
          links: 0, time: Timestamp(nanoseconds: 3))
        #expect(try await two.reserveInode() != inode.id)
        let target = PublishTarget.nameless(
          inode, [try AttributeName("user.x/y"): [1]], modified: Timestamp(nanoseconds: 4),
          parent: .root, name)
        let made = try await one.publish(
          BytesContent(bytes), to: target, durable: false, progress: nil)
        let seen = try await two.lookup(.root, name, .current)
        #expect(seen == made && seen.id == inode.id && seen.links == 1)
        #expect(try await get(two, seen) == bytes)
        #expect(try await two.extendedAttributes(seen.id).count == 1)
        await #expect(throws: DFSError.self) {
          try await one.publish(BytesContent(bytes), to: target, durable: false, progress: nil)
        }
      }
      await one.close()
      await two.close()
    }
  }

  @Test func contentsOfAllSizesGoRound() async throws {
    try await withServers { servers in
      let (one, two) = (try await connect(servers), try await connect(servers))
      for size in [0, 1, 2, 3, 4, 5, 131_071, 131_072, 131_073, 1 << 20, 9 << 20] {
        let bytes = Self.random(size)
        let inode = try await put(one, "file", bytes)
        #expect(inode.version?.md5 == MD5Digest.of(bytes))
        let seen = try await two.lookup(.root, FileName("file"), .current)
        #expect(seen == inode)
        #expect(try await get(two, seen) == bytes, "\(size) bytes")
        if let version = seen.content {
          try await eventually("all copies are there") {
            try await two.copies([version.id])[version.id] == version.placement
          }
        }
      }
      await one.close()
      await two.close()
    }
  }

  @Test func ofTwoExclusiveCreatesOneWins() async throws {
    try await withServers { servers in
      let clients = [try await connect(servers), try await connect(servers)]
      for round in 0..<30 {
        let name = try FileName("r\(round)")
        let winners = await withTaskGroup(of: Bool.self) { group in
          for client in clients {
            group.addTask {
              do {
                _ = try await client.create(.root, name, new)
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
      for client in clients { #expect(try await names(client).count == 30) }
      for client in clients { await client.close() }
    }
  }

  @Test func interleavedChangesAllHappen() async throws {
    try await withServers { servers in
      let clients = [try await connect(servers), try await connect(servers)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (owner, client) in clients.enumerated() {
          group.addTask {
            for index in 0..<200 {
              _ = try await client.create(.root, FileName("c\(owner)-\(index)"), new)
            }
          }
        }
        try await group.waitForAll()
      }
      for client in clients { #expect(try await names(client).count == 400) }
      for client in clients { await client.close() }
    }
  }

  @Test func aKilledServerStopsWritingButNotReading() async throws {
    try await withServers { servers in
      let client = try await connect(servers)
      let bytes = Self.random(500_000)
      let inode = try await put(client, "file", bytes)
      try await servers.kill(ServerIndex(1))
      // A write that begins before anybody can know is a write in the middle of which a server died.
      try await eventually("it is known") { await client.serverStates().contains { !$0.isUp } }
      do {
        _ = try await put(client, "other", [1, 2, 3])
        Issue.record("it was not refused")
      } catch let error as DFSError {
        #expect(error.code == .serversMissing && error.message.contains("DFS2"), "\(error)")
      }
      #expect(try await get(client, client.inode(inode.id, .current)) == bytes)
      #expect(try await names(client) == ["file"])
      let quorum = try await connect(servers) { $0.writes = .quorum }
      let other = try await put(quorum, "other", bytes)
      #expect(try await get(client, other) == bytes)
      try await servers.restart(ServerIndex(1))
      try await eventually("writing works again", within: .seconds(20)) {
        (try? await put(client, "third", [1, 2, 3])) != nil
      }
      #expect(try await names(quorum) == ["file", "other", "third"])
      await client.close()
      await quorum.close()
    }
  }

  @Test func aFrozenServerDelaysAReadByTwoSecondsAtMost() async throws {
    try await withServers { servers in
      let client = try await connect(servers)
      for index in 0..<20 { _ = try await put(client, "f\(index)", [UInt8(index)]) }
      let other = try await connect(servers)
      servers.freeze(ServerIndex(0))
      let clock = ContinuousClock()
      for index in 0..<20 {
        let took = try await clock.measure {
          let inode = try await other.lookup(.root, FileName("f\(index)"), .current)
          #expect(try await get(other, inode) == [UInt8(index)])
        }
        #expect(took < .seconds(3), "\(took)")
      }
      try await eventually("it is known") { await client.serverStates().contains { !$0.isUp } }
      do {
        _ = try await put(client, "more", [1])
        Issue.record("it was not refused")
      } catch let error as DFSError {
        #expect(error.code == .serversMissing, "\(error)")
      }
      servers.thaw(ServerIndex(0))
      try await eventually("writing works again", within: .seconds(20)) {
        (try? await put(client, "more", [1])) != nil
      }
      await client.close()
      await other.close()
    }
  }

  @Test func aServerWithAnEmptyDirectoryIsRefilled() async throws {
    try await withServers { servers in
      let client = try await connect(servers)
      for index in 0..<50 { _ = try await put(client, "f\(index)", [UInt8(index)]) }
      try await servers.kill(ServerIndex(2))
      try FileManager.default.removeItem(atPath: servers.directory(of: ServerIndex(2)))
      try await servers.restart(ServerIndex(2))
      try await eventually("writing works again", within: .seconds(20)) {
        (try? await put(client, "more", [1])) != nil
      }
      // Only what is refilled can show the names when the others' majority is gone.
      let server = ServerIndex(2)
      try await eventually("DFS3 has the head of the others", within: .seconds(20)) {
        let mine = try await client.cluster.ask(server, Request.Ping(), timeout: .seconds(2))
        return try await mine
          == client.cluster.ask(ServerIndex(0), Request.Ping(), timeout: .seconds(2))
      }
      await client.close()
      for index in [0, 1, 3] { try await servers.kill(ServerIndex(index)) }
      let last = try await connect(servers)
      #expect(try await names(last).count == 51)
      await last.close()
    }
  }

  @Test func wrongPasswordAndMissingServersAreTold() async throws {
    try await withServers { servers in
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      do {
        _ = try await DFSClient.connect(
          servers.configuration,
          credentials: Credentials(user: UserName(FourServers.user), password: "wrong"),
          logger: logger)
        Issue.record("it was not refused")
      } catch let error as DFSError {
        #expect(error.code == .loginFailed)
        #expect(error.message == "Invalid Username/Password. Please try again.")
      }
      for server in [0, 1, 2] { try await servers.kill(ServerIndex(server)) }
      do {
        _ = try await DFSClient.connect(
          servers.configuration, credentials: servers.credentials(), minimumServers: 2,
          logger: logger)
        Issue.record("it was not refused")
      } catch let error as DFSError {
        #expect(error.code == .serversMissing)
        for name in ["DFS1", "DFS2", "DFS3"] { #expect(error.message.contains(name), "\(error)") }
      }
      let last = try await connect(servers)
      #expect(try await names(last) == [])
      await last.close()
    }
  }
}
