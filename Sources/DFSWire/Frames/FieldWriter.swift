/// Writes the fields of a protobuf message from the last to the first, into memory that is there already:
/// so the length of a message within is known when its turn comes, and nothing is written twice.
///
/// Invariant: what does not fit is not written, and sets `isFull`.
struct FieldWriter {
  private let memory: UnsafeMutableRawBufferPointer
  /// Where what was written begins; it ends at the end of the memory.
  private(set) var start: Int
  private(set) var isFull = false

  init(_ memory: UnsafeMutableRawBufferPointer) {
    self.memory = memory
    start = memory.count
  }

  /// Bytes written.
  var count: Int { memory.count - start }

  // MARK: Fields, of which those without presence are left out where they are zero

  mutating func varint(_ number: Int, _ value: UInt64) {
    guard value != 0 else { return }
    varint(value)
    tag(.varint(number))
  }

  mutating func bool(_ number: Int, _ value: Bool) { varint(number, value ? 1 : 0) }

  mutating func fixed64(_ number: Int, _ value: UInt64) {
    if value != 0 { presentFixed64(number, value) }
  }

  /// One that is written even if it is zero.
  mutating func presentFixed64(_ number: Int, _ value: UInt64) {
    store(value.littleEndian)
    tag(.fixed64(number))
  }

  mutating func fixed32(_ number: Int, _ value: UInt32) {
    guard value != 0 else { return }
    store(value.littleEndian)
    tag(.fixed32(number))
  }

  mutating func bytes(_ number: Int, _ bytes: [UInt8]) {
    if !bytes.isEmpty { presentBytes(number, bytes) }
  }

  /// Those that are written even if they are none.
  mutating func presentBytes(_ number: Int, _ bytes: [UInt8]) {
    bytes.withUnsafeBytes { source in
      guard let place = take(source.count), let base = source.baseAddress else { return }
      place.copyMemory(from: base, byteCount: source.count)
    }
    varint(UInt64(bytes.count))
    tag(.message(number))
  }

  mutating func message(_ number: Int, _ message: some DirectMessage) {
    self.message(number) { message.write(to: &$0) }
  }

  /// - Parameter body: writes the fields of the message, from the last to the first.
  @inline(__always)
  mutating func message(_ number: Int, _ body: (inout FieldWriter) -> Void) {
    let end = start
    body(&self)
    varint(UInt64(end - start))
    tag(.message(number))
  }

  mutating func messages(_ number: Int, _ messages: [some DirectMessage]) {
    for message in messages.reversed() { self.message(number, message) }
  }

  // MARK: Bytes

  /// A number as it stands, most significant first: what is around the message.
  mutating func put(_ value: UInt32) { store(value.bigEndian) }

  private mutating func tag(_ tag: FieldTag) { varint(tag.value) }

  private mutating func varint(_ value: UInt64) {
    if value < 0x80 { return store(UInt8(value)) }
    let count = (70 - value.leadingZeroBitCount) / 7
    guard let place = take(count) else { return }
    var rest = value
    for index in 0..<count {
      let more: UInt8 = index + 1 < count ? 0x80 : 0
      place.storeBytes(of: UInt8(rest & 0x7f) | more, toByteOffset: index, as: UInt8.self)
      rest >>= 7
    }
  }

  @inline(__always)
  private mutating func store<Value: FixedWidthInteger>(_ value: Value) {
    take(MemoryLayout<Value>.size)?.storeBytes(of: value, as: Value.self)
  }

  /// The memory of the next bytes towards the beginning.
  @inline(__always)
  private mutating func take(_ count: Int) -> UnsafeMutableRawPointer? {
    guard count <= start, !isFull else {
      isFull = true
      return nil
    }
    start -= count
    return memory.baseAddress?.advanced(by: start)
  }
}

/// What stands before a field: its number, and how it is laid out
/// (<https://protobuf.dev/programming-guides/encoding/>).
struct FieldTag: Equatable {
  let value: UInt64

  @inline(__always)
  static func varint(_ number: Int) -> FieldTag { FieldTag(value: UInt64(number) << 3) }
  @inline(__always)
  static func fixed64(_ number: Int) -> FieldTag { FieldTag(value: UInt64(number) << 3 | 1) }
  /// Also of bytes.
  @inline(__always)
  static func message(_ number: Int) -> FieldTag { FieldTag(value: UInt64(number) << 3 | 2) }
  @inline(__always)
  static func fixed32(_ number: Int) -> FieldTag { FieldTag(value: UInt64(number) << 3 | 5) }
}
