/// A value of 128 bits in place, without memory of its own.
public protocol Bits128: Hashable, Sendable {
  /// The first 8 of the 16 bytes, big-endian.
  var high: UInt64 { get }
  /// The last 8 of the 16 bytes, big-endian.
  var low: UInt64 { get }
  /// The value of these halves.
  init(high: UInt64, low: UInt64)
}

extension Bits128 {
  /// - Returns: nil if `bytes` are not 16.
  @inlinable
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    self.init(high: UInt64(bigEndian: bytes.prefix(8)), low: UInt64(bigEndian: bytes.dropFirst(8)))
  }

  /// 16 bytes, big-endian.
  @inlinable
  public var bytes: [UInt8] { Array(bigEndian: high, low) }
}
