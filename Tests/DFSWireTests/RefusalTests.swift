import DFSCore
import FoundationEssentials
import NIOCore
import SwiftProtobuf
import Testing

@testable import DFSWire

/// What is out of range is refused: a frame ends the connection, a message is answered.
@Suite struct RefusalTests {
  @Test(arguments: [
    // Length of the frame, length of the header, the refusal.
    (UInt32(0), UInt32(0), "a frame of 0 bytes; the least is 4"),
    (3, 0, "a frame of 3 bytes"),
    (.max, 0, "a frame of 4294967295 bytes; the limit is 5242884"),
    (5_242_885, 4, "a frame of 5242885 bytes"),
    (10, 7, "a header of 7 bytes in a frame of 10"),
    (5_000_000, 4_194_305, "a header of 4194305 bytes"),
    (1_048_600, 19, "a body of 1048577 bytes; the limit is 1048576"),
  ])
  func aLengthOverItsBoundIsRefusedBeforeItsBytesCome(
    frame: UInt32, header: UInt32, refusal: String
  ) throws {
    var buffer = ByteBuffer(integer: frame)
    buffer.writeInteger(header)
    let error = #expect(throws: DFSError.self) { try Stream.frames(of: buffer) }
    #expect(error?.code == .protocolViolation)
    #expect(error?.message.contains(refusal) == true, "\(error?.message ?? "")")
  }

  @Test func beforeLoginTheBoundIs4KiB() throws {
    let buffer = ByteBuffer(integer: UInt32(4097))
    let error = #expect(throws: DFSError.self) {
      try Stream.frames(of: buffer, isLoggedIn: false)
    }
    #expect(error?.message == "a frame of 4097 bytes; the limit before login is 4096")
    let largest = Frame(
      .request(id: 1, .loginBegin(.init(scram: String(repeating: "a", count: 4084)))))
    let bytes = try Stream.bytes(of: largest)
    #expect(bytes.readableBytes == 4 + 4096)
    #expect(try Stream.frames(of: bytes, isLoggedIn: false) == [largest])
  }

  @Test func aHeaderThatIsNoProtobufIsRefused() {
    #expect(throws: DFSError.self) {
      try Stream.frames(of: Stream.frame(header: [0xff, 0xff, 0xff]))
    }
  }

  /// Field 1 (id) = 9, and a field that this version does not know.
  @Test func anUnknownMessageIsAnswered() throws {
    let bytes = Stream.frame(header: [0x08, 9, 0xba, 0x05, 0])
    try expectUnreadable(bytes, id: 9, "unknown message; this program speaks version 2")
  }

  @Test func unknownStepsAndKeysAreAnswered() throws {
    try expectUnreadable(.with { $0.kind = .namespace(ProtoNamespaceStep()) }, "namespace step")
    try expectUnreadable(
      .with { $0.kind = .namespaceReply(ProtoNamespaceReply()) }, "namespace reply")
    try expectUnreadable(.with { $0.query.queries = [ProtoQuery()] }, "query of no known kind")
    try expectUnreadable(
      .with {
        $0.refillRows.rows = [.with { $0.key = .with { $0.table = .UNRECOGNIZED(9) } }]
      }, "a key of no known table")
  }

  @Test func valuesBeyondLimitsAreAnswered() throws {
    try expectUnreadable(.with { $0.query.queries = [Self.entry("a/b")] }, "is not a file name")
    try expectUnreadable(.with { $0.query.queries = [Self.entry("..")] }, "is not a file name")
    try expectUnreadable(.with { $0.query.queries = [Self.entry("")] }, "is not a file name")
    let long = String(repeating: "x", count: 256)
    try expectUnreadable(
      .with { $0.query.queries = [Self.entry(long)] }, "256 bytes; the limit is 255")
    try expectUnreadable(
      .with { $0.syncParts.parts = [.with { $0.part = 4 }] }, "parts are 0 to 3")
    try expectUnreadable(
      .with { $0.copies.versions = Array(repeating: ProtoVersionId(), count: 4097) },
      "more than 4096 versions in one message")
    try expectUnreadable(
      .with {
        $0.namespace.apply.view.namespace.high = 1
        $0.namespace.apply.change.writes = Array(
          repeating: .with { $0.key.table = .inode }, count: 4097)
      },
      "more than 4096 writes")
    for header: ProtoHeader in [
      .with { $0.namespace.prepare.round = 1 }, .with { $0.namespace.install.view.round = 1 },
      .with { $0.namespace.apply.view.round = 1 }, .with { $0.refillBegin.view.round = 1 },
      .with { $0.refillEnd.view.round = 1 },
    ] {
      try expectUnreadable(header, "a view of no namespace")
    }
    try expectUnreadable(.with { $0.join = ProtoIdentity() }, "a cluster without identity")
    let row = ProtoRow.with {
      $0.key.table = .inode
      $0.value.bytes = .init(repeating: 0, count: Wire.rowBytes + 1)
    }
    try expectUnreadable(.with { $0.refillRows.rows = [row] }, "a row of")
    try expectUnreadable(
      .with {
        $0.namespace.head = ProtoEmpty()
        $0.namespace.parts = [.with { $0.bytes = .init(repeating: 0, count: 32769) }]
      }, "a part of 32769 bytes")
  }

  @Test func smallPartsBeyondLimitsAreAnswered() throws {
    try expectUnreadable(
      .with { $0.getSmallParts.parts = Array(repeating: ProtoPartId(), count: 5) },
      "5 small parts")
  }

  @Test func rangesAndPiecesBeyondLimitsAreAnswered() throws {
    for (begin, end) in [(5, 4), (0, 1_048_577), (1, 1_048_577), (0, UInt64.max)]
      as [(UInt64, UInt64)]
    {
      try expectUnreadable(
        .with {
          $0.getPart.begin = begin
          $0.getPart.end = end
        }, "must fit in 1048576 bytes")
    }
    for (offset, count) in [(5, 0), (0, 16_385), (0, .max), (Limits.fileBytes, 1), (.max, 1)]
      as [(UInt64, UInt32)]
    {
      try expectUnreadable(
        .with {
          $0.getBytes.offset = offset
          $0.getBytes.count = count
        }, "1 to 16384 are given at once")
    }
    for (length, offset, checksums, body) in [
      (10, 0, 0, 10), (10, 0, 1, 11), (10, 0, 1, 9), (10, 0, 2, 10), (100_000, 65536, 1, 65536),
      (100_000, 7, 1, 10), (10, 65536, 1, 10), (UInt64.max, 0, 1, 65536),
    ] as [(UInt64, UInt64, Int, Int)] {
      let header = ProtoHeader.with {
        $0.id = 1
        $0.putPart.extent.length = length
        $0.putPart.extent.offset = offset
        $0.putPart.extent.checksums = Array(repeating: 1, count: checksums)
      }
      let bytes = try Stream.frame(header, body: Array(repeating: 0, count: body))
      try expectUnreadable(bytes, id: 1, "a piece")
    }
  }

  @Test func aBodyWhereNoneBelongsAndAnIDOfZeroAreAnswered() throws {
    let ping = ProtoHeader.with {
      $0.id = 1
      $0.ping = ProtoEmpty()
    }
    try expectUnreadable(try Stream.frame(ping, body: [0]), id: 1, "a body of 1 bytes")
    let none = ProtoHeader.with { $0.ping = ProtoEmpty() }
    try expectUnreadable(try Stream.frame(none), id: 0, "a request with the id 0")
  }

  private static func entry(_ name: String) -> ProtoQuery {
    .with { $0.entry.name = .init(name.utf8) }
  }

  private func expectUnreadable(_ header: ProtoHeader, _ text: String) throws {
    var header = header
    header.id = 5
    try expectUnreadable(try Stream.frame(header), id: 5, text)
  }

  private func expectUnreadable(_ bytes: ByteBuffer, id: UInt64, _ text: String) throws {
    let frames = try Stream.frames(of: bytes)
    guard case .unreadable(id, let error) = frames.first?.message else {
      Issue.record("expected a refusal with '\(text)', got \(frames)")
      return
    }
    #expect(error.message.contains(text), "\(error)")
  }
}
