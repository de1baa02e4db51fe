import DFSCore
import NIOCore
import Testing

@testable import DFSWire

/// What is written and read directly, against what protobuf makes of the same.
@Suite struct DirectTests {
  private static let frames = Samples.frames.filter { $0.message.directBytes != nil }

  private static func direct(_ header: [UInt8]) -> Frame? {
    header.withUnsafeBytes { Frame(direct: $0, bodyBytes: 0) }
  }

  @Test func theBytesAreThoseOfProtobuf() throws {
    #expect(Self.frames.count > 40)
    for frame in Self.frames {
      #expect(try frame.encodedHeader() == frame.encodedByProtobuf(), "\(frame.message)")
      #expect(try frame.message.directBytes ?? 0 >= frame.encodedHeader().count, "\(frame.message)")
    }
  }

  /// A number that takes one to ten bytes, and lengths of one, two and three bytes.
  @Test func numbersAndLengthsOfAllSizesAreThoseOfProtobuf() throws {
    for bits in 0..<64 as Range<UInt64> {
      let message = Message.request(id: 1 << bits, .ping(Request.Ping()))
      #expect(try Frame(message).encodedHeader() == Frame(message).encodedByProtobuf())
    }
    for count in [0, 1, 90, 127, 128, 129, 1000, 16_383, 16_384, Limits.inlinePartBytes] {
      let part = InlinePart(
        id: Samples.part, bytes: [UInt8](repeating: 3, count: count), checksum: BlockChecksum(0))
      let message = Message.request(
        id: 1, .namespace(.init(Samples.namespaceRequests[3], parts: [part, part])))
      let header = try Frame(message).encodedHeader()
      #expect(try header == Frame(message).encodedByProtobuf())
      #expect(Self.direct(header)?.message == message)
      #expect(try Frame(header: header, body: ByteBuffer()).message == message)
    }
  }

  @Test func anEstimateThatIsTooSmallDoesNoHarm() throws {
    for frame in Self.frames {
      let head = try frame.directHead(about: 1, allocator: ByteBufferAllocator())
      #expect(try Array(head.readableBytesView.dropFirst(8)) == frame.encodedByProtobuf())
    }
  }

  @Test func whatIsWrittenDirectlyIsReadDirectly() throws {
    for frame in Self.frames {
      #expect(Self.direct(try frame.encodedHeader()) == frame, "\(frame.message)")
    }
  }

  @Test func aMessageWithABodyIsNotReadDirectly() throws {
    let header = try Frame(.request(id: 1, .ping(Request.Ping()))).encodedHeader()
    #expect(header.withUnsafeBytes { Frame(direct: $0, bodyBytes: 1) } == nil)
    guard case .unreadable = try Frame(header: header, body: ByteBuffer(bytes: [1])).message else {
      Issue.record("a ping with a body is taken")
      return
    }
  }

  /// Bytes that are wrong, missing or too many are read as protobuf reads them, or left to it.
  @Test func damagedHeadersAreReadAsProtobufReadsThem() throws {
    var random = Numbers(state: 1)
    var read = 0
    for frame in Self.frames {
      let whole = try frame.encodedHeader()
      for _ in 0..<400 {
        var header = whole
        for _ in 0...Int(random.next() % 3) { Self.damage(&header, &random) }
        guard let direct = Self.direct(header) else { continue }
        read += 1
        let other = try Frame(checked: header, body: ByteBuffer())
        #expect(direct == other, "\(header)")
      }
    }
    #expect(read > 1000, "\(read)")
  }

  private static func damage(_ header: inout [UInt8], _ random: inout Numbers) {
    let place = Int(random.next() % UInt64(header.count + 1))
    let byte = UInt8(truncatingIfNeeded: random.next())
    switch random.next() % 4 {
    case 0 where place < header.count: header[place] = byte
    case 1 where place < header.count: header[place] ^= 1 << (byte & 7)
    case 2 where place < header.count: header.remove(at: place)
    default: header.insert(byte, at: place)
    }
    if header.isEmpty { header = [byte] }
  }

  /// SplitMix64, so that a failure comes again.
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
      return value ^ (value >> 31)
    }
  }
}
