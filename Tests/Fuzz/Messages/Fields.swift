/// Protobuf's encoding as a tree that can be changed at any place, known fields or not:
/// <https://protobuf.dev/programming-guides/encoding/>.
struct Field: Hashable, Sendable {
  var number: UInt64
  var value: Value
}

indirect enum Value: Hashable, Sendable {
  case varint(UInt64)
  case fixed64(UInt64)
  case fixed32(UInt32)
  case bytes([UInt8])
  /// Bytes that can be read as fields.
  case message([Field])

  var isNumber: Bool {
    switch self {
    case .varint, .fixed64, .fixed32: true
    case .bytes, .message: false
    }
  }

  var isBytes: Bool { if case .bytes = self { true } else { false } }

  mutating func set(_ number: UInt64) {
    switch self {
    case .varint: self = .varint(number)
    case .fixed64: self = .fixed64(number)
    case .fixed32: self = .fixed32(UInt32(truncatingIfNeeded: number))
    case .bytes, .message: break
    }
  }

  mutating func move(by step: UInt64, isLess: Bool) {
    switch self {
    case .varint(let number), .fixed64(let number):
      set(isLess ? number &- min(step, number) : number &+ step)
    case .fixed32(let number):
      set(isLess ? UInt64(number) - min(step, UInt64(number)) : UInt64(number) + step)
    case .bytes, .message: break
    }
  }
}

extension [Field] {
  /// Nil if the bytes are no fields.
  init?(_ bytes: ArraySlice<UInt8>, depth: Int = 0) {
    self = []
    var rest = bytes
    while !rest.isEmpty {
      guard let tag = Self.varint(&rest), (1...99).contains(tag >> 3) else { return nil }
      let value: Value
      switch tag & 7 {
      case 0:
        guard let number = Self.varint(&rest) else { return nil }
        value = .varint(number)
      case 1:
        guard rest.count >= 8 else { return nil }
        value = .fixed64(rest.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) })
        rest = rest.dropFirst(8)
      case 5:
        guard rest.count >= 4 else { return nil }
        value = .fixed32(rest.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })
        rest = rest.dropFirst(4)
      case 2:
        guard let length = Self.varint(&rest), length <= UInt64(rest.count) else { return nil }
        let inner = rest.prefix(Int(length))
        rest = rest.dropFirst(Int(length))
        let fields = depth < 6 ? [Field](inner, depth: depth + 1) : nil
        value = fields.map { .message($0) } ?? .bytes(Array<UInt8>(inner))
      default: return nil
      }
      append(Field(number: tag >> 3, value: value))
    }
  }

  private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    var (number, shift) = (UInt64(0), UInt64(0))
    while let byte = rest.popFirst(), shift < 70 {
      number |= shift < 64 ? UInt64(byte & 0x7f) << shift : 0
      if byte < 0x80 { return number }
      shift += 7
    }
    return nil
  }

  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    for field in self { field.encode(into: &bytes) }
    return bytes
  }

  // MARK: Places, counted through the whole tree

  func count(_ isMeant: (Value) -> Bool) -> Int {
    reduce(0) { sum, field in
      let inner = if case .message(let fields) = field.value { fields.count(isMeant) } else { 0 }
      return sum + (isMeant(field.value) ? 1 : 0) + inner
    }
  }

  /// Changes the list that holds the field with this number in the count of all that are meant.
  /// - Returns: false if there are fewer.
  @discardableResult
  mutating func edit(
    _ place: inout Int, _ isMeant: (Value) -> Bool, _ body: (inout [Field], Int) -> Void
  ) -> Bool {
    for index in indices {
      if isMeant(self[index].value) {
        if place == 0 {
          body(&self, index)
          return true
        }
        place -= 1
      }
      guard case .message(var inner) = self[index].value else { continue }
      if inner.edit(&place, isMeant, body) {
        self[index].value = .message(inner)
        return true
      }
    }
    return false
  }

  /// Every number that is `old`, as if all who sent it had another one.
  mutating func replace(_ old: Value, by number: UInt64) {
    for index in indices {
      if self[index].value == old {
        self[index].value.set(number)
      } else if case .message(var inner) = self[index].value {
        inner.replace(old, by: number)
        self[index].value = .message(inner)
      }
    }
  }

  /// The bytes of a field of this list.
  func bytes(_ number: UInt64) -> [UInt8]? {
    guard let field = first(where: { $0.number == number }) else { return nil }
    switch field.value {
    case .bytes(let bytes): return bytes
    case .message(let fields): return fields.encoded
    case .varint, .fixed64, .fixed32: return nil
    }
  }
}

extension Field {
  fileprivate func encode(into bytes: inout [UInt8]) {
    func varint(_ number: UInt64) {
      var rest = number
      while rest >= 0x80 {
        bytes.append(UInt8(rest & 0x7f) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(rest))
    }
    func long(_ inner: [UInt8]) {
      varint(number << 3 | 2)
      varint(UInt64(inner.count))
      bytes += inner
    }
    switch value {
    case .varint(let value):
      varint(number << 3)
      varint(value)
    case .fixed64(let value):
      varint(number << 3 | 1)
      bytes += (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    case .fixed32(let value):
      varint(number << 3 | 5)
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    case .bytes(let inner): long(inner)
    case .message(let fields): long(fields.encoded)
    }
  }
}

/// A frame as it is on the wire (docs/FORMATS.md, "Frames").
struct RawFrame: Hashable, Sendable {
  var header: [Field]
  var body: [UInt8] = []

  init(header: [Field], body: [UInt8] = []) {
    self.header = header
    self.body = body
  }

  /// Takes a frame off the front; nil if it is not whole or cannot be read.
  init?(from bytes: inout [UInt8]) {
    func number(_ at: Int) -> Int { bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
    guard bytes.count >= 8 else { return nil }
    let (length, headerLength) = (number(0), number(4))
    guard bytes.count >= 4 + length, headerLength + 4 <= length,
      let header = [Field](bytes[8..<8 + headerLength])
    else { return nil }
    self.header = header
    body = Array(bytes[(8 + headerLength)..<(4 + length)])
    bytes.removeFirst(4 + length)
  }

  var encoded: [UInt8] {
    let head = header.encoded
    return Self.number(4 + head.count + body.count) + Self.number(head.count) + head + body
  }

  static func number(_ value: Int) -> [UInt8] {
    (0..<4).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  /// The number of the field that says what it is; docs/FORMATS.md, dfs.proto.
  var kind: UInt64 { header.first { $0.number >= 10 }?.number ?? 0 }

  var isReply: Bool { (40..<60).contains(kind) }

  var id: UInt64 {
    get {
      if case .varint(let id)? = header.first(where: { $0.number == 1 })?.value { id } else { 0 }
    }
    set {
      header.removeAll { $0.number == 1 }
      header.insert(Field(number: 1, value: .varint(newValue)), at: 0)
    }
  }
}
