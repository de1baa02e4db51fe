import DFSCore
import NIOCore
import NIOTestUtils
import SwiftProtobuf
import Testing

@testable import DFSWire

@Suite struct FrameTests {
  @Test(arguments: Samples.frames.indices)
  func everyMessageComesBackAsItWas(index: Int) throws {
    let frame = Samples.frames[index]
    #expect(try Stream.frames(of: try Stream.bytes(of: frame)) == [frame])
  }

  @Test func samplesHaveEveryKindOfMessage() throws {
    let fields = try Samples.frames.map { frame -> String in
      let header = try ProtoHeader(serializedBytes: try frame.encodedHeader())
      return String("\(try #require(header.kind))".prefix { $0 != "(" })
    }
    let schema = try #require(try ProtoSchema.load().messages["Header"])
    #expect(Set(fields).count == schema.count { $0.oneof == "kind" }, "\(Set(fields).sorted())")
  }

  @Test func framesComeOutHoweverTheirBytesArrive() throws {
    let small = Samples.frames.filter { ($0.body?.readableBytes ?? 0) < 1000 }
    let pairs = try small.map { (try Stream.bytes(of: $0), [$0]) }
    try ByteToMessageDecoderVerifier.verifyDecoder(inputOutputPairs: pairs) {
      FrameDecoder(limit: FrameLimit(isLoggedIn: true))
    }
  }

  @Test func aPieceOfAPartComesOutHoweverItsBytesArrive() throws {
    let (extent, body) = Samples.piece(offset: 65536, count: 2000, length: 67536)
    let frame = Frame(.reply(id: 1, .part(extent)), body: body)
    let pairs = [(try Stream.bytes(of: frame), [frame])]
    try ByteToMessageDecoderVerifier.verifyDecoder(inputOutputPairs: pairs) {
      FrameDecoder(limit: FrameLimit(isLoggedIn: true))
    }
  }

  @Test func theBodyIsWrittenAsItIs() throws {
    let (extent, body) = Samples.pieces[1]
    let frame = Frame(.reply(id: 1, .part(extent)), body: body)
    let head = try frame.encodedHead(allocator: ByteBufferAllocator())
    #expect(try Stream.bytes(of: frame).readableBytes == head.readableBytes + 5)
    #expect(Array(try Stream.bytes(of: frame).readableBytesView.suffix(5)) == [0, 1, 2, 3, 4])
  }

  @Test func aHeaderOverTheBoundIsNotSent() throws {
    let bytes = Array(repeating: UInt8(1), count: Wire.rowBytes)
    let row = Row(key: .inode(.root), change: 1, value: RowValue(bytes: bytes))
    let rows = Array(repeating: row, count: Limits.headerBytes / Wire.rowBytes + 1)
    let frame = Frame(.request(id: 1, .refillRows(.init(rows))))
    #expect(throws: DFSError.self) { try Stream.bytes(of: frame) }
  }
}
