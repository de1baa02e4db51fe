internal import Glibc

/// Small, bounded readings and writings of bytes.

extension FixedWidthInteger {
  /// The bytes of the number, most significant first.
  public var bigEndianBytes: [UInt8] { withUnsafeBytes(of: self.bigEndian) { Array($0) } }

  /// Reads at most the width of the type from the front of `bytes`, most significant first.
  public init(bigEndian bytes: some Collection<UInt8>) {
    self = bytes.prefix(Self.bitWidth / 8).reduce(0) { ($0 << 8) | Self(truncatingIfNeeded: $1) }
  }
}

extension Collection<UInt8> {
  /// Two lower-case hexadecimal digits a byte.
  public var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

extension Collection<UInt8> {
  /// `withUnsafeBytes` for a body with a typed error; of what is not contiguous, of a copy.
  public func withBytes<Value>(
    _ body: (UnsafeRawBufferPointer) throws(DFSError) -> Value
  ) throws(DFSError) -> Value {
    func call(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<Value, DFSError> {
      Result { () throws(DFSError) in try body(UnsafeRawBufferPointer(bytes)) }
    }
    let result = withContiguousStorageIfAvailable(call) ?? Array(self).withUnsafeBufferPointer(call)
    return try result.get()
  }
}

extension Array<UInt8> {
  /// The bytes that `hexadecimal` says, or nil if it is not hexadecimal.
  public init?(hexadecimal: String) {
    let digits = Array(hexadecimal.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    self = []
    reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = Self.nibble(digits[index]), let low = Self.nibble(digits[index + 1])
      else { return nil }
      append(high << 4 | low)
    }
  }

  private static func nibble(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// Reads fixed-size fields from the front of a byte array; every read is checked.
struct ByteReader {
  private let bytes: [UInt8]
  private(set) var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(DFSError) -> Value {
    Value(bigEndian: try take(Value.bitWidth / 8))
  }

  mutating func take(_ count: Int) throws(DFSError) -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - offset else {
      throw DFSError(
        .damaged, "a record of \(bytes.count) bytes ends where \(count) more were expected")
    }
    defer { offset += count }
    return bytes[offset..<offset + count]
  }
}

extension UnsafeRawBufferPointer {
  /// Whether all bytes are 0; an empty buffer has no other.
  public var isZero: Bool {
    guard let base = baseAddress, let first else { return true }
    return first == 0 && memcmp(base, base + 1, count - 1) == 0
  }
}
