import DFSConfiguration
import DFSCore
import DFSTestSupport
import Logging
import Testing

@testable import DFSClient

/// A file on four servers that is changed by layers, and an array with the bytes that it must have.
struct LayeredFile {
  private(set) var inode: Inode
  private(set) var bytes: [UInt8]
  private let name: String
  private var random: SplitMix64

  /// A file in the root with a base.
  init(_ name: String, base: Int, by client: DFSClient, seed: UInt64 = 1) async throws {
    var random = SplitMix64(seed: seed)
    bytes = Self.bytes(base, &random)
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    inode = try await client.publish(
      BytesContent(bytes), to: .name(parent: .root, FileName(name), new), durable: true,
      progress: nil)
    (self.name, self.random) = (name, random)
  }

  private static func bytes(_ count: Int, _ random: inout SplitMix64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { bytes += random.next().bigEndianBytes }
    return Array(bytes.prefix(count))
  }

  var version: Version { get throws { try #require(inode.version) } }

  /// As what a conflict copy of it is named.
  var opened: OpenedVersion {
    get throws {
      OpenedVersion(
        version: inode.version?.id, parent: .root, name: try FileName(name), host: "here")
    }
  }

  /// Writes random bytes to some ranges, and zeros to others, as one layer.
  /// - Parameters:
  ///   - ranges: ascending and apart from each other.
  ///   - cut: the size to which the file was cut before.
  ///   - striking: called when it is read first: servers were asked whether they answer, and nothing is stored yet.
  mutating func write(
    _ ranges: [Range<Int>], zeros: [Range<Int>] = [], cut: Int? = nil, size: Int? = nil,
    by client: DFSClient, striking: (@Sendable () -> Void)? = nil
  ) async throws {
    let cut = min(cut ?? bytes.count, bytes.count)
    let size = max(size ?? bytes.count, ranges.last?.upperBound ?? 0)
    var after = Array(bytes.prefix(cut))
    after += Array(repeating: 0, count: size - cut)
    var content: [UInt8] = []
    for range in ranges {
      let new = Self.bytes(range.count, &random)
      after.replaceSubrange(range, with: new)
      content += new
    }
    for range in zeros {
      after.replaceSubrange(range, with: Array(repeating: 0, count: range.count))
    }
    let extents = (ranges.map { ($0, false) } + zeros.map { ($0, true) })
      .map { LayerExtent(UInt64($0.lowerBound)..<UInt64($0.upperBound), isZeros: $1) }
      .sorted { $0.range.lowerBound < $1.range.lowerBound }
    let patch = Patch(
      over: inode.version, extents, cut: UInt64(cut), size: UInt64(size))
    let time = Timestamp(nanoseconds: 7)
    inode = try await client.publish(
      StrikingContent(content: BytesContent(content), strike: striking), as: .layer(patch),
      to: .inode(inode.id, modified: time, changed: time, opened: opened), durable: true,
      progress: nil
    ).inode
    bytes = after
  }

  /// The version of the file by its name as a client finds it: what reads as it must.
  func check(
    by client: DFSClient, at place: SourceLocation = #_sourceLocation
  ) async throws {
    let found = try await client.lookup(.root, FileName(name), .current)
    #expect(found.version == inode.version, sourceLocation: place)
    try await check(try #require(found.version), by: client, at: place)
  }

  /// A version must have these bytes.
  func check(
    _ version: Version, by client: DFSClient, at place: SourceLocation = #_sourceLocation
  ) async throws {
    #expect(version.size == UInt64(bytes.count), sourceLocation: place)
    var read: [UInt8] = []
    while read.count < bytes.count {
      let more = try await client.read(version, UInt64(read.count)..<version.size)
      guard !more.isEmpty else { break }
      read += more
    }
    #expect(read == bytes, sourceLocation: place)
    #expect(
      try await client.read(version, version.size..<version.size + 9) == [], sourceLocation: place)
    // Around every place where another content begins.
    let pieces = try await client.layers.map(of: version).pieces(of: 0..<version.size)
    var random = SplitMix64(seed: version.size)
    for piece in pieces.prefix(40) {
      for edge in [piece.range.lowerBound, piece.range.upperBound] {
        let start = Int(edge) - min(Int(edge), random.below(20))
        let end = min(start + 1 + random.below(40), bytes.count)
        guard start < end else { continue }
        let some = try await client.read(version, UInt64(start)..<UInt64(end))
        #expect(some == Array(bytes[start..<end]), "\(start) to \(end)", sourceLocation: place)
      }
    }
  }
}

/// A content at whose reading something happens.
private struct StrikingContent: ContentSource {
  let content: BytesContent
  let strike: (@Sendable () -> Void)?

  var size: UInt64 { content.size }
  var md5: MD5Digest? { nil }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    strike?()
    try content.read(into: buffer, at: offset)
  }
}

extension ClientSetting {
  /// Another client of the same servers.
  func another(_ policy: WritePolicy = .all, servers count: Int = 4) async throws -> DFSClient {
    var configuration = servers.configuration
    configuration.configuredWrites = policy
    configuration.readCacheBytes = 0
    configuration.callTimeoutSeconds = 10
    return try await DFSClient.connect(
      configuration, credentials: servers.credentials(), minimumServers: count,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  func restart(_ server: ServerIndex, _ clients: DFSClient...) async throws {
    try await servers.restart(server)
    for client in [self.client] + clients {
      try await eventually("\(server) is back", within: .seconds(30)) {
        client.cluster.reachable == .all
      }
    }
  }

  func kill(_ server: ServerIndex, _ clients: DFSClient...) async throws {
    try await kill(server)
    for client in clients {
      try await eventually("\(server) is noticed to be down") {
        !client.cluster.reachable.contains(server)
      }
    }
  }

  /// The rows of a file's layers say what the file's own says.
  func checkRows(
    of file: InodeID, by client: DFSClient, at place: SourceLocation = #_sourceLocation
  ) async throws -> Version {
    let version = try #require(try await client.inode(file, .current).version)
    for layer in version.layers {
      let row = try await client.inode(layer.inode, .current)
      #expect(row.kind == .layer && row.parent == file, sourceLocation: place)
      #expect(row.content == layer.content, sourceLocation: place)
    }
    return version
  }
}
