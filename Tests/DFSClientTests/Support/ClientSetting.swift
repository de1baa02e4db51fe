import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Logging
import Testing

@testable import DFSClient

/// Four servers, a client of them, and a hand in the servers' directories.
struct ClientSetting: Sendable {
  let servers: FourServers
  let client: DFSClient

  /// Runs a test on four servers of its own.
  /// - Parameters:
  ///   - readCacheBytes: with 0 every read asks the servers.
  ///   - arguments: of every server.
  static func run(
    readCacheBytes: Int = 0, arguments: [String] = [],
    _ body: (ClientSetting) async throws -> Void
  ) async throws {
    let servers = try await FourServers(arguments: arguments)
    var configuration = servers.configuration
    configuration.readCacheBytes = readCacheBytes
    let client = try await DFSClient.connect(
      configuration, credentials: servers.credentials(), minimumServers: 4,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    do {
      try await body(ClientSetting(servers: servers, client: client))
    } catch {
      Issue.record("\(error)")
    }
    await client.close()
    try await servers.remove()
  }

  func put(_ name: String, _ content: TestContent) async throws -> Content {
    try #require(try await file(name, content).content)
  }

  func file(_ name: String, _ content: TestContent) async throws -> Inode {
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    return try await client.publish(
      content, to: .name(parent: .root, FileName(name), new), durable: true, progress: nil)
  }

  /// The holders of a part, the one that is read by preference first.
  func holders(of part: PartIndex, _ version: Content) throws -> (ServerIndex, ServerIndex) {
    let holders = version.placement.holders(of: part)
    let first = try #require(holders.preferred)
    return (first, try #require(holders.servers.first { $0 != first }))
  }

  // MARK: What is done behind the servers' backs

  private func file(of part: PartIndex, _ version: Content, on server: ServerIndex) -> String {
    let id = PartID(version: version.id, part: part)
    return "\(servers.directory(of: server))/\(FourServers.user)/parts/"
      + "\(version.id.description.prefix(2))/\(id)"
  }

  /// Changes one byte of a copy.
  func flip(
    _ part: PartIndex, of version: Content, on server: ServerIndex, at offset: UInt64
  ) throws {
    let path = file(of: part, version, on: server)
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try handle.seek(toOffset: offset)
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: offset)
    try handle.write(contentsOf: Data([byte ^ 1]))
    try handle.close()
  }

  func truncate(_ part: PartIndex, of version: Content, on server: ServerIndex) throws {
    let path = file(of: part, version, on: server)
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try handle.truncate(atOffset: 1000)
    try handle.close()
  }

  func delete(_ part: PartIndex, of version: Content, on server: ServerIndex) throws {
    try FileManager.default.removeItem(atPath: file(of: part, version, on: server))
  }

  func kill(_ server: ServerIndex) async throws {
    try await servers.kill(server)
    try await eventually("\(server) is noticed to be down") {
      !client.cluster.reachable.contains(server)
    }
  }
}

extension FileService {
  /// Bytes of a version that is one content.
  func read(_ content: Content, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await read(Version(content), range)
  }
}
