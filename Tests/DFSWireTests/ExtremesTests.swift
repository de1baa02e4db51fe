import DFSCore
import NIOCore
import SwiftProtobuf
import Testing

@testable import DFSWire

/// Every number of every message, at its extremes. The fields are read from dfs.proto, so that one
/// that is added there without a limit fails here.
@Suite struct ExtremesTests {
  /// Numbers that are only compared: the id of a request, and the versions of the wire.
  private static let unbounded: Set<String> = ["id", "version"]
  private static let extremes: [UInt64] = [
    0, 1, 1 << 31, 1 << 32, 1 << 53, 1 << 53 + 1, 1 << 60, 1 << 60 + 1, 1 << 63 - 1, 1 << 63,
    .max - 1, .max,
  ]

  private static func frame(_ header: [UInt8]) throws -> DFSWire.Message {
    try Frame(header: header, body: ByteBuffer()).message
  }

  @Test func everyQuantityHasALimit() throws {
    let sample = ProtoSample(schema: try ProtoSchema.load())
    let paths = sample.paths(of: "Header", where: \.isQuantity)
    #expect(paths.count > 80)
    for path in paths {
      let names = path.map(\.name).joined(separator: ".")
      let usual = try Self.frame(sample.bytes("Header", path, value: nil))
      if case .unreadable(_, let error) = usual {
        Issue.record("\(names): the usual value is refused: \(error)")
      }
      guard let last = path.last, !Self.unbounded.contains(last.name) || path.count > 2 else {
        continue
      }
      for value in [UInt64.max, 1 << 63, 1 << 62] {
        // (A number of 32 bits is cut to them.)
        let value = last.type == "uint32" ? value | UInt64(UInt32.max) : value
        // -1 is a time like another.
        if last.type == "int64", value == .max { continue }
        let message = try Self.frame(sample.bytes("Header", path, value: value))
        guard case .unreadable = message else {
          Issue.record("\(names) = \(value) is taken: give it a limit where it is decoded")
          continue
        }
      }
    }
  }

  @Test func noNumberTrapsWhateverItIs() throws {
    let sample = ProtoSample(schema: try ProtoSchema.load())
    for path in sample.paths(of: "Header", where: { $0.isQuantity || $0.isFixed }) {
      for value in Self.extremes {
        let message = try Self.frame(sample.bytes("Header", path, value: value))
        if case .unreadable = message { continue }
        let again = try Frame(message).encodedHeader()
        #expect(try Self.frame(again) == message)
      }
    }
  }

  /// The totals of a report may be added up, those of four servers too.
  @Test func countsOfPlacementsAreBoundedTogether() throws {
    let header = ProtoHeader.with {
      $0.id = 1
      $0.healthReport.placements = (0..<3 as Range<UInt32>).map { copies in
        .with {
          $0.copies = copies
          $0.files = Limits.number / 2
        }
      }
    }
    guard case .unreadable = try Self.frame(header.serializedBytes() as [UInt8]) else {
      Issue.record("three halves are taken")
      return
    }
  }

  // MARK: What is counted before it is made

  @Test func theShapesAreThoseOfTheSchema() throws {
    try Self.compare("Header", HeaderShape.header, try ProtoSchema.load())
  }

  private static func compare(_ message: String, _ shape: HeaderShape, _ schema: ProtoSchema) throws
  {
    let fields = try #require(schema.messages[message])
    let children = fields.filter { schema.messages[$0.type] != nil }
    let known = shape.children.indices.filter { shape.children[$0] != nil }
    #expect(Set(children.map { Int($0.number) }) == Set(known), "\(message)")
    for field in children {
      guard known.contains(Int(field.number)), let child = shape.children[Int(field.number)] else {
        continue
      }
      #expect((child.limit != nil) == field.isRepeated, "\(message).\(field.name)")
      try compare(field.type, child.shape, schema)
    }
  }

  /// 2,000,000 empty queries in 4 MiB.
  @Test(arguments: [15, 17, 22, 24, 46, 51])
  func manyEmptyItemsAreRefusedBeforeTheyAreMade(field: UInt64) throws {
    let items = [UInt8](repeating: 0, count: 3 << 20).enumerated().map { index, _ in
      index.isMultiple(of: 2) ? UInt8(0x0a) : 0
    }
    let header =
      [0x08, 7] + ProtoSample.varint(field << 3 | 2) + ProtoSample.varint(UInt64(items.count))
      + items
    let scan = try HeaderScan(header)
    #expect(scan.id == 7)
    #expect(scan.excess != nil)
    #expect(scan.objects <= Wire.listRows + 2)
    guard case .unreadable(7, _) = try Self.frame(header) else {
      Issue.record("taken")
      return
    }
  }

  /// The largest install that a client sends, and the largest page of rows.
  @Test func theLargestThatIsSentIsTaken() throws {
    let write = RowWrite(.inode(InodeID(5)), nil)
    let identity = RowWrite(
      .attribute(InodeID(0), name: try AttributeName("change")),
      RowValue(bytes: [UInt8](repeating: 1, count: 16)))
    let change = Change(id: ChangeID(client: ClientID(1), sequence: 1), writes: [write, identity])
    let count = 3 * Limits.answerBytes / 111
    let install = NamespaceRequest.install(
      Samples.view, from: Samples.head, changes: .init(repeating: change, count: count),
      to: Samples.head)
    let frame = Frame(.request(id: 1, .namespace(.init(install))))
    let header = try frame.encodedHeader()
    #expect(header.count <= Limits.headerBytes)
    #expect(try HeaderScan(header).excess == nil)
    // A server counts it, and makes the message of it elsewhere.
    var bytes = try Stream.bytes(of: frame)
    let decoder = FrameDecoder(limit: FrameLimit(isLoggedIn: true), isShared: true)
    let counted = try #require(try decoder.next(from: &bytes))
    guard case .large(_, let weight) = counted.message else {
      Issue.record("it is decoded at once")
      return
    }
    #expect(weight > header.count)
    #expect(counted.decoded == frame)
  }
}
