/// The identifiers of the system. Each kind has a type of its own, so that one is never passed
/// where another is meant.

/// One of the four servers, by its place in the configuration: 0 is DFS1 … 3 is DFS4.
public struct ServerIndex: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The place in the configuration: 0 to 3.
  public let value: Int

  /// Traps if `value` is not in 0..<4; use `init(checking:)` for values from outside.
  public init(_ value: Int) {
    precondition((0..<Limits.serverCount).contains(value), "a server index is 0 to 3")
    self.value = value
  }

  /// - Returns: nil if `value` is not 0 to 3.
  public init?(checking value: Int) {
    guard (0..<Limits.serverCount).contains(value) else { return nil }
    self.value = value
  }

  /// DFS1 to DFS4, in any case of letters.
  public init?(name: String) {
    guard let server = Self.all.first(where: { $0.description == name.uppercased() }) else {
      return nil
    }
    self = server
  }

  /// DFS1 to DFS4, in this order.
  public static let all: [ServerIndex] = (0..<Limits.serverCount).map { ServerIndex($0) }
  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public var description: String { "DFS\(value + 1)" }
}

/// One of the four parts of a version; people count them from 1, the code from 0.
public struct PartIndex: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The place in the content: 0 to 3. People see `number`.
  public let value: Int

  /// Traps if `value` is not in 0..<4; use `init(checking:)` for values from outside.
  public init(_ value: Int) {
    precondition((0..<Limits.partCount).contains(value), "a part index is 0 to 3")
    self.value = value
  }

  /// - Returns: nil if `value` is not 0 to 3.
  public init?(checking value: Int) {
    guard (0..<Limits.partCount).contains(value) else { return nil }
    self.value = value
  }

  /// Parts 1 to 4, in this order.
  public static let all: [PartIndex] = (0..<Limits.partCount).map { PartIndex($0) }
  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }

  /// The number that people see: 1 to 4.
  public var number: Int { value + 1 }
  public var description: String { "\(number)" }
}

/// The number of an inode. It is derived from the change that made it, so it is never used twice.
public struct InodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// 1 is the root's; there is no inode of number 0.
  public let value: UInt64
  /// A number from a row or a message; whether there is such an inode is not checked.
  public init(_ value: UInt64) { self.value = value }

  /// The root directory of every namespace; it exists without a row.
  public static let root = InodeID(1)

  /// The `index`-th inode made by change `number`; one change makes at most 256.
  public init(change number: UInt64, index: Int) {
    precondition((0..<256).contains(index), "one change makes at most 256 inodes")
    value = (number << 8) | UInt64(index)
  }

  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public var description: String { String(value) }
}

/// The identity of one immutable content of a file: 128 bits, chosen by who publishes it (`next`).
public struct VersionID: Bits128, Comparable, CustomStringConvertible {
  /// The first 8 of the 16 bytes, big-endian.
  public let high: UInt64
  /// The last 8 of the 16 bytes, big-endian.
  public let low: UInt64

  /// An identity that was chosen before, by its two halves.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  /// 128 random bits; two are the same with a probability of 2^-128.
  public static func random() -> VersionID {
    VersionID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
  }

  /// The identity of a content that is being published: the time and 64 random bits, so two of the same 64 ns
  /// are the same with a probability of 2^-64.
  ///
  /// The first byte is the second modulo 256, since servers spread copies by it. Those of files that were written
  /// one after the other are next to each other in the tables of servers; nothing else depends on the clock.
  /// - Parameter random: 64 random bits.
  public static func next(at time: Timestamp, _ random: UInt64) -> VersionID {
    let (whole, part) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    let (seconds, nanoseconds) = (
      UInt64(truncatingIfNeeded: whole), UInt64(truncatingIfNeeded: part)
    )
    let high = seconds << 56 | (seconds >> 8 & 0xffff_ffff) << 24 | nanoseconds >> 6 & 0xff_ffff
    return VersionID(high: high, low: random)
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String { bytes.hexadecimal }
}

/// A part of a version: what a copy is a copy of.
public struct PartID: Hashable, Sendable, CustomStringConvertible {
  /// The content that was split.
  public let version: VersionID
  /// Which quarter of it.
  public let part: PartIndex

  /// Part `part` of `version`; that may have no bytes.
  public init(version: VersionID, part: PartIndex) {
    self.version = version
    self.part = part
  }

  public var description: String { "\(version).\(part)" }
}

/// One client process; random, so that no two views are the same.
public struct ClientID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The client's number; 0 is nobody's, as in `View.none`.
  public let value: UInt64
  /// An identity from a row or a message; 0 is allowed.
  public init(_ value: UInt64) { self.value = value }
  /// A new identity, never 0.
  public static func random() -> ClientID { ClientID(.random(in: 1 ... .max)) }
  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public var description: String { value.bigEndianBytes.hexadecimal }
}

/// The name of an account: 1 to 64 of `A–Z a–z 0–9 . _ @ -`, not beginning with a dot.
/// It names a directory on the servers, hence the narrow alphabet.
public struct UserName: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The name as it was given; upper and lower case differ.
  public let text: String

  /// - Throws: `invalidArgument` if `text` is no such name.
  public init(_ text: String) throws(DFSError) {
    let allowed = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "@"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard allowed, (1...Limits.userNameBytes).contains(text.utf8.count), !text.hasPrefix(".")
    else {
      throw DFSError(
        .invalidArgument,
        "'\(text.printable)' is not a user name: 1 to \(Limits.userNameBytes) of A–Z a–z 0–9 . _ @ -, "
          + "not beginning with a dot")
    }
    self.text = text
  }

  public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
  public var description: String { text }
}

/// The name of a directory entry: 1 to 255 bytes, any but NUL and '/', not `.` or `..`.
public struct FileName: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// 1 to 255 bytes in whatever encoding.
  public let bytes: [UInt8]

  /// - Throws: `nameTooLong` above 255 bytes; `invalidArgument` for no bytes, `.`, `..`, NUL and
  ///   '/'.
  public init(_ bytes: some Collection<UInt8>) throws(DFSError) { try self.init(Array(bytes)) }

  /// Throws as the other does.
  public init(_ bytes: [UInt8]) throws(DFSError) {
    guard bytes.count <= Limits.nameBytes else {
      throw DFSError(
        .nameTooLong, "a name of \(bytes.count) bytes; the limit is \(Limits.nameBytes)")
    }
    let isName = bytes.withUnsafeBufferPointer { bytes in
      let isAllowed = bytes.allSatisfy { $0 != 0 && $0 != UInt8(ascii: "/") }
      let isDots = bytes.count <= 2 && bytes.allSatisfy { $0 == UInt8(ascii: ".") }
      return isAllowed && !isDots
    }
    guard isName else {
      throw DFSError(
        .invalidArgument, "'\(ByteText.text(of: bytes).printable)' is not a file name")
    }
    self.bytes = bytes
  }

  /// The UTF-8 of `text`, which is not read as `ByteText`; throws as the other does.
  public init(_ text: String) throws(DFSError) { try self.init(Array(text.utf8)) }

  public static func < (left: Self, right: Self) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }

  /// The name with `suffix` behind it; it is cut before that if the whole would be too long, but not
  /// within a character, where names are UTF-8.
  public func appending(_ suffix: String) throws(DFSError) -> FileName {
    let suffix = Array(suffix.utf8)
    var stem = Array(bytes.prefix(max(0, Limits.nameBytes - suffix.count)))
    if stem.count < bytes.count {
      while let last = stem.last, bytes[stem.count] & 0xc0 == 0x80, last & 0x80 != 0 {
        stem.removeLast()
      }
    }
    return try FileName(stem + suffix)
  }

  /// Where a directory lists the name: a number that depends on the name alone, less than 2⁶² and a
  /// multiple of 256. Two names may have the same.
  public var listingPlace: UInt64 { BlockChecksum.of(bytes).value >> 2 & ~0xff }

  /// For people; bytes that are not UTF-8 are escaped, as control characters are.
  public var description: String { text.printable }

  /// All bytes, as `ByteText` has them.
  public var text: String { ByteText.text(of: bytes) }
}

/// The name of an extended attribute, with its name space: 1 to 255 bytes, any but NUL
/// (<https://man7.org/linux/man-pages/man7/xattr.7.html>).
public struct AttributeName: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// 1 to 255 bytes in whatever encoding, such as those of `user.comment`.
  public let bytes: [UInt8]

  /// - Throws: `outOfRange` above 255 bytes; `invalidArgument` for no bytes and for NUL.
  public init(_ bytes: some Collection<UInt8>) throws(DFSError) { try self.init(Array(bytes)) }

  /// Throws as the other does.
  public init(_ bytes: [UInt8]) throws(DFSError) {
    guard bytes.count <= Limits.attributeNameBytes else {
      throw DFSError(
        .outOfRange,
        "an attribute's name of \(bytes.count) bytes; the limit is \(Limits.attributeNameBytes)")
    }
    guard !bytes.isEmpty, !bytes.contains(0) else {
      throw DFSError(
        .invalidArgument,
        "'\(ByteText.text(of: bytes).printable)' is not an attribute name")
    }
    self.bytes = bytes
  }

  /// The UTF-8 of `text`, which is not read as `ByteText`; throws as the other does.
  public init(_ text: String) throws(DFSError) { try self.init(Array(text.utf8)) }

  public static func < (left: Self, right: Self) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }

  /// For people, as a file's name is.
  public var description: String { ByteText.text(of: bytes).printable }
}
