import DFSCore
import DFSWire
import NIOCore

/// One or more of every message, with every optional field present and absent.
enum Samples {
  static let view = View(
    round: 7, client: ClientID(0x0102_0304_0506_0708), namespace: NamespaceID(high: 3, low: .max))
  static let head = Head(view: view, number: 41, digest: RowDigest(high: .max, low: 1))
  static let version = VersionID(high: 0xdead_beef, low: .max)
  static let part = PartID(version: version, part: PartIndex(3))
  static let name = fileName(Array("Übung ,\"\n.txt".utf8))

  static let keys: [RowKey] = [
    .inode(.root), .entry(parent: InodeID(1 << 40), name: name),
    .attribute(InodeID(.max), name: attributeName([0xff, 0x2f])),
  ]
  static let values = [
    RowValue(bytes: []), RowValue(bytes: [1, 2], child: InodeID(0)),
    RowValue(
      bytes: Array(repeating: 9, count: 300),
      content: RowContent(version: version, copies: 0x9c63_1248)),
  ]
  static let rows = zip(keys, values).map { Row(key: $0, change: 12, value: $1) }
  static let change = Change(
    id: ChangeID(client: view.client, sequence: 3),
    writes: zip(keys, values).map { RowWrite($0, $1) } + [RowWrite(keys[0], nil)])
  static let entry = LogEntry(number: 42, change: change, digest: head.digest)
  static let inline = InlinePart(id: part, bytes: [5, 6, 7], checksum: BlockChecksum(.max))
  static let hello = Request.Hello(
    version: Wire.version, cluster: "default", server: "DFS1", client: view.client,
    wantsPushes: true, clusterID: ClusterID(high: 5, low: 6))
  static let greeting = Reply.Greeting(
    version: 1, cluster: "default", server: "DFS1",
    identity: "00112233445566778899aabbccddeeff", software: "dfs 1",
    clusterID: ClusterID(high: .max, low: 0))

  static let namespaceRequests: [NamespaceRequest] = [
    .prepare(view), .install(view, from: .blank, changes: [], to: head),
    .install(view, from: head, changes: [change, change], to: head),
    .apply(view, number: Limits.number, change), .log(after: 0), .log(after: 9), .head,
  ]
  static let namespaceReplies: [NamespaceReply] = [
    .promised(head), .installed(head), .applied(head), .behind(.blank), .refused(view),
    .foreign(head),
    .missingParts([part]), .missingParts([]), .log(base: nil, entries: [], head: head),
    .log(base: .empty, entries: [entry, entry], head: head), .head(head),
  ]
  static let queries: [Query] = [
    .inode(.root), .inode(InodeID(0)), .entry(parent: .root, name: name),
    .directory(.root, after: nil), .directory(InodeID(5), after: name), .attributes(.root),
    .everything(after: nil), .substitutes(after: nil), .substitutes(after: InodeID(9)),
    .everything(after: keys[1]),
  ]
  static let answers = [
    QueryAnswer(rows: rows, isPartial: true), QueryAnswer(rows: [], isPartial: false),
  ]

  private static func fileName(_ bytes: [UInt8]) -> FileName {
    do { return try FileName(bytes) } catch { preconditionFailure("\(error)") }
  }

  private static func attributeName(_ bytes: [UInt8]) -> AttributeName {
    do { return try AttributeName(bytes) } catch { preconditionFailure("\(error)") }
  }

  /// A piece of a part, and its bytes.
  static func piece(offset: UInt64, count: Int, length: UInt64) -> (PartExtent, ByteBuffer) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    let checksums = bytes.withUnsafeBytes { BlockChecksum.blocks(of: $0) }
    let extent = PartExtent(id: part, length: length, offset: offset, checksums: checksums)
    return (extent, ByteBuffer(bytes: bytes))
  }

  static let pieces: [(PartExtent, ByteBuffer)] = [
    piece(offset: 0, count: 0, length: 0), piece(offset: 0, count: 5, length: 5),
    piece(offset: 65536, count: 65536, length: 200_000),
    piece(offset: 65536, count: 70_000, length: 135_536),
    piece(offset: 0, count: Limits.chunkBytes, length: Limits.fileBytes),
  ]

  static let missing = MissingCopy(
    id: part, inode: InodeID(7), content: RowContent(version: part.version, copies: 0x1248_9c63))

  static var health: HealthReport {
    var report = HealthReport(head: head)
    report.placements = [0x1248_9c63: 7, 0: 1]
    report.software = "dfs 1.1"
    (report.missing, report.missingBytes) = (3, 1 << 40)
    report.requests = 1 << 33
    report.scrub.lastEndSeconds = -1
    return report
  }

  static var requests: [Request] { exchanges.map(\.request) }

  static var replies: [Reply] {
    exchanges.flatMap(\.replies)
      + [
        Reply.Failed(DFSError(.noSpace, "full")),
        Reply.Failed(DFSError(.damaged, "a", cause: CancellationError())),
      ].map(\.reply) + DFSError.Code.allCases.map { .failed(.init(DFSError($0, ""))) }
  }

  static let pushes: [Push] = [
    .changed(.init(keys, head: head)), .changed(.init([], head: .blank)),
    .everythingChanged(.init(head: head)), .goingAway(.init()),
  ]

  static var frames: [Frame] {
    requests.map { Frame(.request(id: 1, $0)) } + replies.map { Frame(.reply(id: .max, $0)) }
      + pushes.map { Frame(.push($0)) }
      + pieces.map { Frame(.request(id: 300, put($0.0)), body: $0.1) }
      + pieces.map { Frame(.reply(id: 300, .part($0.0)), body: $0.1) }
  }

  static func put(_ extent: PartExtent) -> Request { .putPart(.init(extent, durable: true)) }
}
