import DFSConfiguration
import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Logging
import Testing

@testable import DFSClient

/// A client that dies when one server has its change: the next one finishes it or drops it, and the
/// file is whole either way.
@Suite(.serialized, .timeLimit(.minutes(3))) struct HalfDoneTests {
  private static let old = Array("the old content, of some length".utf8)
  private static let new = Array("the new content, which is longer than the old one".utf8)
  private static let file = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)

  private func connect(_ servers: FourServers) async throws -> DFSClient {
    var configuration = servers.configuration
    configuration.writes = .quorum
    return try await DFSClient.connect(
      configuration, credentials: servers.credentials(), minimumServers: 3,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  private func put(_ client: DFSClient, _ name: String, _ bytes: [UInt8]) async throws -> Inode {
    try await client.publish(
      BytesContent(bytes), to: .name(parent: .root, FileName(name), Self.file), durable: true,
      progress: nil)
  }

  /// Takes a view, sends one server a change that gives `inode` a new content, and dies.
  private func die(
    after server: ServerIndex, _ inode: Inode, _ client: DFSClient
  ) async throws {
    let cluster = client.cluster
    let head = try await cluster.ask(server, Request.Ping(), timeout: .seconds(5)).head
    let view = View(
      round: head.view.round + 1, client: ClientID(99), namespace: head.view.namespace)
    for other in ServerIndex.all {
      for step in [
        NamespaceRequest.prepare(view), .install(view, from: head, changes: [], to: head),
      ] {
        let request = Request.Namespace(step)
        _ = try await cluster.ask(other, request, timeout: .seconds(5))
      }
    }
    let md5 = MD5Digest.of(Self.new)
    let (parts, digests) = try await client.transfer.inlineParts(
      BytesContent(Self.new), version: .random())
    let version = Content(
      id: parts[0].id.version, size: UInt64(Self.new.count), md5: md5,
      placement: Placement(md5: md5), partDigests: digests)
    var changed = inode
    changed.version = Version(version)
    let change = Change(id: ChangeID(client: ClientID(99), sequence: 1), writes: [changed.row])
    let apply = NamespaceRequest.apply(view, number: head.number + 1, change)
    let reply = try await cluster.ask(
      server, Request.Namespace(apply, parts: parts), timeout: .seconds(5))
    guard case .applied = reply else {
      throw DFSError(.protocolViolation, "the change was not applied: \(reply)")
    }
  }

  @Test(arguments: ServerIndex.all)
  func whoTakesAChangeUpBringsItsCopies(_ server: ServerIndex) async throws {
    let servers = try await FourServers()
    let first = try await connect(servers)
    let inode = try await put(first, "file", Self.old)
    try await die(after: server, inode, first)
    let second = try await connect(servers)
    _ = try await put(second, "another", [1])
    // Whatever became of the change, the file does not hang on the one server that had it.
    try await servers.kill(server)
    let third = try await connect(servers)
    let found = try await third.lookup(.root, FileName("file"), .current)
    let version = try #require(found.version)
    let bytes = try await third.read(version, 0..<version.size)
    #expect(bytes == Self.old || bytes == Self.new)
    for client in [first, second, third] { await client.close() }
    try await servers.remove()
  }
}
