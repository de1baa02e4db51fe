package import DFSCore
import DFSReplication
package import DFSStore
import Foundation
import Logging

/// A directory of its own, removed with the value.
package final class TemporaryDirectory: Sendable {
  package let path: String

  package init() {
    path = NSTemporaryDirectory() + "dfs-store-\(VersionID.random())"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// What tests of the store share: opening one, and making what a client would send.
package enum Fixture {
  package static let alice = name("alice")

  package static func name(_ text: String) -> UserName {
    guard let name = try? UserName(text) else { fatalError("'\(text)' is not a user name") }
    return name
  }

  package static func fileName(_ text: String) -> FileName {
    guard let name = try? FileName(text) else { fatalError("'\(text)' is not a file name") }
    return name
  }

  package static func attributeName(_ text: String) -> AttributeName {
    guard let name = try? AttributeName(text) else { fatalError("'\(text)' is not a name") }
    return name
  }

  package static func open(
    _ directory: String, name: String = "DFS1", cluster: String = "default",
    options: StoreOptions = StoreOptions()
  ) throws -> ServerStore {
    try ServerStore.open(
      directory: directory, name: name, cluster: cluster, options: options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  package static func view(_ round: UInt64, _ client: UInt64 = 7) -> View {
    View(round: round, client: ClientID(client))
  }

  package static func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed | 1
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      withUnsafeBytes(of: state ^ (state >> 29)) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
  }

  /// A change that makes a file `name` in the root, with a version if one is given.
  package static func create(
    _ number: UInt64, _ name: String, version: VersionID? = nil, value: [UInt8] = [1, 2, 3],
    client: UInt64 = 7
  ) -> Change {
    let inode = InodeID(change: number, index: 0)
    return Change(
      id: ChangeID(client: ClientID(client), sequence: number),
      writes: [
        RowWrite(.inode(inode), RowValue(bytes: value, content: version.map(content))),
        RowWrite(
          .entry(parent: .root, name: fileName(name)), RowValue(bytes: [1], child: inode)),
      ])
  }

  /// A change that gives inode `inode` another version, or removes it.
  package static func replace(_ inode: InodeID, _ version: VersionID?, sequence: UInt64) -> Change {
    Change(
      id: ChangeID(client: ClientID(7), sequence: sequence),
      writes: [
        RowWrite(.inode(inode), version.map { RowValue(bytes: [9], content: content($0)) })
      ])
  }

  /// A content of which this server, DFS1, is asked for parts 1 and 2.
  package static func content(_ version: VersionID) -> RowContent {
    let placement = Placement(
      holders: [[0, 3], [0, 1], [1, 2], [2, 3]].map { servers in
        ServerSet(servers.map { ServerIndex($0) })
      })
    return RowContent(version: version, placement: placement, home: placement)
  }

  package static func inline(_ version: VersionID, _ part: Int, _ bytes: [UInt8]) -> InlinePart {
    InlinePart(
      id: PartID(version: version, part: PartIndex(part)), bytes: bytes,
      checksum: BlockChecksum.of(bytes))
  }
}

extension UserStore {
  /// Takes the first view of an empty namespace.
  package func begin(_ view: View = Fixture.view(1)) async throws {
    _ = try await namespace(.prepare(view), parts: [], held: [], durable: false)
    _ = try await namespace(
      .install(view, from: head(), changes: [], to: head()), parts: [], held: [], durable: false)
  }

  @discardableResult
  package func apply(
    _ change: Change, _ view: View = Fixture.view(1), number: UInt64? = nil,
    parts: [InlinePart] = [], held: [PartID] = [], durable: Bool = false, session: UInt64? = nil
  ) async throws -> NamespaceReply {
    try await namespace(
      .apply(view, number: number ?? head().number + 1, change), parts: parts, held: held,
      durable: durable, session: session)
  }

  /// Puts a whole part in pieces of `Limits.chunkBytes`.
  package func put(_ id: PartID, _ bytes: [UInt8], session: UInt64 = 1, durable: Bool = false)
    async throws
  {
    var offset = 0
    repeat {
      let piece = Array(bytes[offset..<min(offset + Limits.chunkBytes, bytes.count)])
      try await putPart(
        session: session, Self.extent(id, piece, offset, bytes.count), bytes: piece,
        durable: durable)
      offset += piece.count
    } while offset < bytes.count
  }

  package static func extent(_ id: PartID, _ piece: [UInt8], _ offset: Int, _ length: Int)
    -> PartExtent
  {
    PartExtent(
      id: id, length: UInt64(length), offset: UInt64(offset),
      checksums: piece.withUnsafeBytes { BlockChecksum.blocks(of: $0) })
  }

  package func partBytes(_ id: PartID, range: Range<UInt64>) async throws -> [UInt8] {
    try await withCheckedThrowingContinuation { turn in
      partBytes(id, range: range) { turn.resume(with: $0) }
    }
  }

  /// Reads a whole part in pieces.
  package func get(_ id: PartID) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let start = UInt64(bytes.count)
      let (extent, piece) = try await getPart(id, range: start..<start + 1_048_576)
      bytes += piece
      if UInt64(bytes.count) >= extent.length { return bytes }
    }
  }
}

package func partID(_ version: VersionID, _ part: Int) -> PartID {
  PartID(version: version, part: PartIndex(part))
}

/// The code of the `DFSError` that `body` throws; nil if it throws none.
package func failure(_ body: () async throws -> Void) async -> DFSError.Code? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? DFSError)?.code
  }
}

/// The same numbers each time.
package struct SeededGenerator: RandomNumberGenerator {
  package var state: UInt64

  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}
