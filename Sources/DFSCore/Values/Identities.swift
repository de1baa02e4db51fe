internal import Crypto

/// The identities of clusters and namespaces: what tells two of them apart that have the same name, the
/// same users and the same passwords.

/// 128 random bits that name one thing of a kind for ever.
public struct RandomID<Kind>: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The first 8 of the 16 bytes, big-endian.
  public let high: UInt64
  /// The last 8 of the 16 bytes, big-endian.
  public let low: UInt64

  /// - Returns: nil for zero, which names nothing: it is what a missing field reads as.
  @inlinable
  public init?(high: UInt64, low: UInt64) {
    guard high | low != 0 else { return nil }
    self.high = high
    self.low = low
  }

  /// - Returns: nil if `bytes` are not 16, or all zero.
  @inlinable
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    self.init(high: UInt64(bigEndian: bytes.prefix(8)), low: UInt64(bigEndian: bytes.dropFirst(8)))
  }

  /// - Returns: nil if `hexadecimal` is not 32 hexadecimal digits, or zero.
  public init?(hexadecimal: some StringProtocol) {
    guard let bytes = [UInt8](hexadecimal: String(hexadecimal)) else { return nil }
    self.init(bytes: bytes)
  }

  /// A new identity, never zero.
  public static func random() -> Self {
    while true {
      if let id = Self(high: .random(in: .min ... .max), low: .random(in: .min ... .max)) {
        return id
      }
    }
  }

  @inlinable
  public static func == (left: Self, right: Self) -> Bool {
    left.high == right.high && left.low == right.low
  }

  @inlinable
  public func hash(into hasher: inout Hasher) {
    hasher.combine(high)
    hasher.combine(low)
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  /// 16 bytes, big-endian.
  @inlinable
  public var bytes: [UInt8] { Array(bigEndian: high, low) }
  /// 32 lower-case hexadecimal digits.
  public var description: String { bytes.hexadecimal }
  /// The first eight digits, for messages.
  public var brief: String { "\(description.prefix(8))…" }
}

/// What makes `ClusterID` a type of its own; it has no values.
public enum ClusterKind {}
/// What makes `NamespaceID` a type of its own; it has no values.
public enum NamespaceKind {}

/// Four servers that keep files together. It is made once, when their first namespace is.
public typealias ClusterID = RandomID<ClusterKind>

/// One user's namespace on the four servers. It is made once, with the namespace's first view.
public typealias NamespaceID = RandomID<NamespaceKind>

extension ClusterID {
  /// The identity that four servers get which have none: whoever computes it comes to the same, so that
  /// two clients that do so at once cannot disagree. It is as random as the servers' own identities.
  /// - Parameter servers: the identities of DFS1 to DFS4, 32 hexadecimal digits each.
  /// - Returns: nil if they are not four.
  public static func of(servers: [String]) -> ClusterID? {
    guard servers.count == Limits.serverCount else { return nil }
    let digest = SHA256.hash(data: Array("dfs cluster\n\(servers.joined(separator: "\n"))\n".utf8))
    return ClusterID(bytes: Array(digest.prefix(16)))
  }
}
