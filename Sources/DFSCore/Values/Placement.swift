/// Which bytes are in which part, and which servers hold it: the mission's rule.

/// A set of servers, one bit each (bit 0 is DFS1).
public struct ServerSet: OptionSet, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  /// The set that the lowest four bits of `rawValue` say; the others stand for no server.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue & 0x0f }
  /// The set of `servers`; one that comes twice counts once.
  @inlinable
  public init(_ servers: some Sequence<ServerIndex>) {
    self.init(rawValue: servers.reduce(0) { $0 | 1 << UInt8($1.value) })
  }

  /// Those of all servers of which `isMember` says so.
  @inlinable
  public init(where isMember: (ServerIndex) -> Bool) {
    var bits: UInt8 = 0
    for value in 0..<Limits.serverCount where isMember(ServerIndex(value)) {
      bits |= 1 << UInt8(value)
    }
    self.init(rawValue: bits)
  }

  private init(_ server: ServerIndex) { self.init(rawValue: 1 << UInt8(server.value)) }

  /// All four servers.
  public static var all: ServerSet { ServerSet(rawValue: 0x0f) }
  /// The servers of the set, in the order of their numbers.
  public var servers: [ServerIndex] { ServerIndex.all.filter(contains) }
  /// The number of servers in the set: 0 to 4.
  public var count: Int { rawValue.nonzeroBitCount }
  /// Whether `server` is in the set.
  public func contains(_ server: ServerIndex) -> Bool { rawValue & 1 << UInt8(server.value) != 0 }
  /// Adds a server, unless it is there already.
  public mutating func insert(_ server: ServerIndex) { formUnion(ServerSet(server)) }
  /// Takes a server out, if it is there.
  public mutating func remove(_ server: ServerIndex) { subtract(ServerSet(server)) }
  /// `DFS1, DFS3`
  public var description: String { servers.map(\.description).joined(separator: ", ") }
}

/// The four contiguous parts of a content of `size` bytes: parts 1–3 have ⌊size/4⌋ bytes, part 4
/// has the rest.
public struct Split: Hashable, Sendable {
  /// Bytes of the whole content.
  public let size: UInt64
  /// The split of a content of `size` bytes, which may be 0.
  public init(size: UInt64) { self.size = size }

  /// The bytes of the content that are in `part`.
  public func range(of part: PartIndex) -> Range<UInt64> {
    let quarter = size / UInt64(Limits.partCount)
    let start = quarter * UInt64(part.value)
    return start..<(part.value == Limits.partCount - 1 ? size : start + quarter)
  }

  /// The length of `part` in bytes.
  public func length(of part: PartIndex) -> UInt64 { UInt64(range(of: part).count) }

  /// A piece of one part.
  public struct Piece: Hashable, Sendable {
    /// The part that it is a piece of.
    public let part: PartIndex
    /// Bytes within the part.
    public let range: Range<UInt64>

    /// The bytes `range` of a part, which is not checked to be that long.
    public init(part: PartIndex, range: Range<UInt64>) {
      self.part = part
      self.range = range
    }
  }

  /// The bytes of the content that a piece is.
  public func range(of piece: Piece) -> Range<UInt64> {
    let start = range(of: piece.part).lowerBound
    return start + piece.range.lowerBound..<start + piece.range.upperBound
  }

  /// The pieces of parts that together are `range` of the content, in order; `range` is clamped to
  /// the content.
  public func pieces(of range: Range<UInt64>) -> [Piece] {
    PartIndex.all.compactMap { part in
      let whole = self.range(of: part)
      let common = whole.clamped(to: range)
      guard !common.isEmpty else { return nil }
      return Piece(
        part: part,
        range: common.lowerBound - whole.lowerBound..<common.upperBound - whole.lowerBound)
    }
  }

  /// Whether the parts are small enough to travel inside the change.
  public var isInline: Bool {
    length(of: PartIndex(Limits.partCount - 1)) <= UInt64(Limits.inlinePartBytes)
  }
}

/// Which servers hold each part of a version.
public struct Placement: Hashable, Sendable {
  /// In 16 bits: the holders of part 1 in the lowest four, those of part 4 in the highest.
  public let packed: UInt16

  /// Reads what `packed` gives.
  public init(packed: UInt16) { self.packed = packed }

  /// `holders` must have one set for each of the four parts.
  public init(holders: [ServerSet]) {
    precondition(holders.count == Limits.partCount, "a placement names the holders of four parts")
    self.init(packed: holders.reversed().reduce(0) { $0 << 4 | UInt16($1.rawValue) })
  }

  /// The table of the mission for x = MD5 mod 4: with x = 0 server i holds parts i and i + 1; each
  /// step of x turns the table one server further.
  public init(md5: MD5Digest) {
    let x = md5.modulo4
    var packed: UInt16 = 0
    for part in 0..<Limits.partCount {
      let first = (part + x) % Limits.serverCount
      let second = (part + x + Limits.serverCount - 1) % Limits.serverCount
      packed |= (1 << first | 1 << second) << (4 * part)
    }
    self.init(packed: packed)
  }

  /// For each part the servers that hold a copy.
  public var holders: [ServerSet] { PartIndex.all.map { holders(of: $0) } }

  /// The servers that hold a copy of `part`.
  public func holders(of part: PartIndex) -> ServerSet {
    ServerSet(rawValue: UInt8(packed >> (4 * part.value) & 15))
  }

  /// The placement with one more holder of a part.
  public func adding(_ server: ServerIndex, to part: PartIndex) -> Placement {
    Placement(packed: packed | 1 << (4 * part.value + server.value))
  }

  /// The parts that `server` holds, in the order of their numbers.
  public func parts(on server: ServerIndex) -> [PartIndex] {
    PartIndex.all.filter { holders(of: $0).contains(server) }
  }

  /// The parts of which no copy is on any of `servers`.
  public func missingParts(on servers: ServerSet) -> [PartIndex] {
    PartIndex.all.filter { holders(of: $0).isDisjoint(with: servers) }
  }
}

extension ServerIndex {
  /// The server across the circle, which holds neither of the parts that this one holds.
  public var opposite: ServerIndex { ServerIndex((value + 2) % Limits.serverCount) }
}

extension Placement {
  /// The placement while `missing` is away: the copies that it would hold go to the server opposite.
  /// With more than one server missing nothing can be done.
  public func substituting(for missing: ServerSet) -> Placement {
    guard missing.count == 1, let away = missing.servers.first else { return self }
    return Placement(
      holders: holders.map { set in
        guard set.contains(away) else { return set }
        return set.subtracting(missing).union(ServerSet([away.opposite]))
      })
  }

  /// The copies that this placement has and `other` has not: for each part the servers.
  public func copies(missingIn other: Placement) -> [(part: PartIndex, server: ServerIndex)] {
    PartIndex.all.flatMap { part in
      holders(of: part).subtracting(other.holders(of: part)).servers.map { (part, $0) }
    }
  }
}
