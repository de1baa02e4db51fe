import DFSConfiguration
import DFSCore
import DFSTestSupport
import Logging
import Testing

@testable import DFSClient

/// Four servers and a client of them.
final class TransferSetting: Sendable {
  let servers: FourServers
  let cluster: Cluster
  let transfer: Transfer

  init(readCacheBytes: Int = 64 << 20) async throws {
    servers = try await FourServers()
    var configuration = servers.configuration
    configuration.readCacheBytes = readCacheBytes
    var logger = Logger(label: "test")
    logger.logLevel = .error
    cluster = Cluster(
      configuration: configuration, credentials: RenewableCredentials(try servers.credentials()),
      client: .random(), logger: logger)
    transfer = Transfer(cluster: cluster, questions: cluster, configuration: configuration)
    await cluster.start()
    await cluster.untilTried(timeout: .seconds(10))
  }

  func end() async throws {
    await cluster.shutdown()
    try await servers.remove()
  }

  func upload(_ content: TestContent) async throws -> Content {
    let md5 = try await transfer.md5(of: content)
    let id = VersionID.random()
    let (digests, placement) = try await transfer.upload(
      content, version: id, placement: Placement(md5: md5), durable: false, progress: nil)
    return Content(
      id: id, size: content.size, md5: md5, placement: placement, partDigests: digests)
  }

  /// Reads all in steps, each of which must end within `limit`.
  func check(
    _ version: Content, is content: TestContent, step: UInt64 = 1 << 20,
    within limit: Duration = .seconds(10)
  ) async throws {
    let clock = ContinuousClock()
    var offset: UInt64 = 0
    while offset < version.size {
      let begin = clock.now
      let bytes = try await transfer.read(version, offset..<offset + step)
      #expect(clock.now - begin < limit)
      let end = min(offset + step, version.size)
      let expected = try content.bytes(offset..<end)
      #expect(bytes == expected, "at \(offset)")
      offset = end
    }
  }

  /// Runs a test on four servers of its own.
  static func run(
    readCacheBytes: Int = 64 << 20, _ body: (TransferSetting) async throws -> Void
  ) async throws {
    let setting = try await TransferSetting(readCacheBytes: readCacheBytes)
    do {
      #expect(setting.cluster.reachable == .all, "\(setting.cluster.states())")
      try await body(setting)
    } catch {
      try? await setting.end()
      throw error
    }
    try await setting.end()
  }
}
