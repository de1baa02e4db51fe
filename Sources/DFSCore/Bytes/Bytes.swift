internal import Glibc

/// Small, bounded readings and writings of bytes.

extension FixedWidthInteger {
  /// The bytes of the number, most significant first.
  public var bigEndianBytes: [UInt8] { withUnsafeBytes(of: self.bigEndian) { Array($0) } }

  /// Reads at most the width of the type from the front of `bytes`, most significant first.
  @inlinable
  public init(bigEndian bytes: some Collection<UInt8>) {
    self = bytes.prefix(Self.bitWidth / 8).reduce(0) { ($0 << 8) | Self(truncatingIfNeeded: $1) }
  }
}

extension Collection<UInt8> {
  /// Two lower-case hexadecimal digits a byte.
  public var hexadecimal: String { Array(self).hexadecimalDigits }
}

extension Array<UInt8> {
  fileprivate var hexadecimalDigits: String {
    String(unsafeUninitializedCapacity: count * 2) { text in
      for (index, byte) in enumerated() {
        text[2 * index] = UInt8.hexadecimalDigit(byte >> 4)
        text[2 * index + 1] = UInt8.hexadecimalDigit(byte & 15)
      }
      return count * 2
    }
  }
}

extension UInt8 {
  fileprivate static func hexadecimalDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
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

extension Array<UInt8> {
  /// The 16 bytes of two numbers, most significant first.
  public init(bigEndian high: UInt64, _ low: UInt64) {
    self.init(writing: 16) {
      $0.put(high)
      $0.put(low)
    }
  }

  /// Bytes written by a `ByteWriter`: one piece of memory, of the right size from the beginning.
  /// - Parameter capacity: at least what `body` writes.
  @inlinable
  public init(writing capacity: Int, _ body: (inout ByteWriter) -> Void) {
    self.init(unsafeUninitializedCapacity: capacity) { memory, count in
      var writer = ByteWriter(UnsafeMutableRawBufferPointer(memory))
      body(&writer)
      count = writer.count
    }
  }
}

/// Writes fields one after the other into memory that is there already; every write is checked.
public struct ByteWriter {
  private let memory: UnsafeMutableRawBufferPointer
  /// Bytes written so far.
  public private(set) var count = 0

  /// A writer into `memory`, which must outlive it.
  public init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

  /// What was written so far.
  public var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  /// The bytes of a number, most significant first.
  public mutating func put(_ value: UInt64) { store(value.bigEndian) }
  /// The bytes of a number, most significant first.
  public mutating func put(_ value: UInt32) { store(value.bigEndian) }
  /// The bytes of a number, most significant first.
  public mutating func put(_ value: UInt16) { store(value.bigEndian) }
  /// One byte.
  public mutating func put(_ value: UInt8) { store(value) }

  /// Bytes as they are.
  public mutating func put(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { source in
      precondition(source.count <= memory.count - count, "the memory of a writer is full")
      guard let base = source.baseAddress, !source.isEmpty else { return }
      memory.baseAddress?.advanced(by: count).copyMemory(from: base, byteCount: source.count)
      count += source.count
    }
  }

  @inline(__always)
  private mutating func store<Value: FixedWidthInteger>(_ value: Value) {
    let size = MemoryLayout<Value>.size
    precondition(size <= memory.count - count, "the memory of a writer is full")
    memory.storeBytes(of: value, toByteOffset: count, as: Value.self)
    count += size
  }
}

/// Reads fixed-size fields from the front of bytes; every read is checked. It lives no longer than they do.
struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  @inline(__always)
  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(DFSError) -> Value {
    let start = try advance(MemoryLayout<Value>.size)
    return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: Value.self))
  }

  mutating func take(_ count: Int) throws(DFSError) -> [UInt8] {
    guard count != 0 else { return [] }
    let start = try advance(count)
    return Array(bytes[start..<start + count])
  }

  /// - Returns: where the next `count` bytes begin.
  private mutating func advance(_ count: Int) throws(DFSError) -> Int {
    guard count >= 0, count <= bytes.count - offset else {
      throw DFSError(
        .damaged, "a record of \(bytes.count) bytes ends where \(count) more were expected")
    }
    defer { offset += count }
    return offset
  }
}

extension UnsafeRawBufferPointer {
  /// Whether all bytes are 0; an empty buffer has no other.
  public var isZero: Bool {
    guard let base = baseAddress, let first else { return true }
    return first == 0 && memcmp(base, base + 1, count - 1) == 0
  }
}
