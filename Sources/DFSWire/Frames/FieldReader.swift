/// Reads the fields of a protobuf message where they lie; every read is checked. It lives no longer than the
/// bytes.
///
/// Invariant: after the first thing that is not as it should be there is no more to read, and `isSound` is
/// false.
struct FieldReader {
  private let bytes: UnsafeRawBufferPointer
  private var place: Int
  private var end: Int
  private(set) var isSound = true

  init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, 0, bytes.count) }

  private init(_ bytes: UnsafeRawBufferPointer, _ place: Int, _ end: Int) {
    self.bytes = bytes
    self.place = place
    self.end = end
  }

  /// The next field, whose value must be read then; nil at the end.
  mutating func next() -> FieldTag? { place < end ? FieldTag(value: varint()) : nil }

  mutating func varint() -> UInt64 {
    if let value = bytes.varint(at: &place, before: end) { return value }
    fail()
    return 0
  }

  mutating func fixed64() -> UInt64 { UInt64(littleEndian: load()) }
  mutating func fixed32() -> UInt32 { UInt32(littleEndian: load()) }

  mutating func byteArray() -> [UInt8] {
    let field = message()
    return Array(bytes[field.place..<field.end])
  }

  /// A message within, to be read as such.
  mutating func message() -> FieldReader {
    let length = varint()
    guard length <= UInt64(end - place) else {
      fail()
      return self
    }
    defer { place += Int(length) }
    return FieldReader(bytes, place, place + Int(length))
  }

  /// A message within that is no list: the first of its field, since another one would be merged with it.
  mutating func read<Value: DirectMessage>(_ value: inout Value?) {
    let fields = message()
    guard value == nil, let read = Value(reading: fields) else { return fail() }
    value = read
  }

  /// A message within that is one of a list.
  mutating func read<Value: DirectMessage>(_ list: inout [Value], atMost limit: Int) {
    let fields = message()
    guard list.count < limit, let read = Value(reading: fields) else { return fail() }
    list.append(read)
  }

  /// Something is not as it should be.
  mutating func fail() {
    isSound = false
    place = end
  }

  private mutating func load<Value: FixedWidthInteger>() -> Value {
    guard MemoryLayout<Value>.size <= end - place else {
      fail()
      return 0
    }
    defer { place += MemoryLayout<Value>.size }
    return bytes.loadUnaligned(fromByteOffset: place, as: Value.self)
  }
}

extension UnsafeRawBufferPointer {
  /// A number of one to ten bytes, of seven bits each, the lowest first; nil if it does not end before `end`.
  /// (<https://protobuf.dev/programming-guides/encoding/#varints>)
  /// - Parameter place: where it begins, and then what follows it.
  func varint(at place: inout Int, before end: Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64, place < end {
      let byte = self[place]
      place += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
    return nil
  }
}
