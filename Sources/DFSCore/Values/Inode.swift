/// What an inode's row says, and its bytes (docs/FORMATS.md, "Inode rows").

/// The kinds of inodes; the raw value is the byte in an inode's row.
public enum FileKind: UInt8, Sendable, Hashable, CaseIterable {
  case regular = 1
  case directory, symlink, fifo, socket, characterDevice, blockDevice
}

/// Nanoseconds since 1970-01-01 UTC; may be negative.
public struct Timestamp: Hashable, Sendable, Comparable {
  /// Since 1970; 64 bits reach from the year 1677 to 2262.
  public var nanoseconds: Int64
  /// The time so many nanoseconds after 1970, or before it.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The sum of both; out of range, the earliest or the latest time that there is.
  public init(seconds: Int, nanoseconds: Int) {
    let (product, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carry) = product.addingReportingOverflow(Int64(nanoseconds))
    self.nanoseconds = overflow || carry ? (seconds < 0 ? .min : .max) : sum
  }

  /// Whole seconds, rounded down.
  public var seconds: Int { Int(nanoseconds.flooredDivision(1_000_000_000)) }
  /// 0 ..< 1,000,000,000, to be added to `seconds`.
  public var fraction: Int {
    let remainder = Int(nanoseconds % 1_000_000_000)
    return remainder < 0 ? remainder + 1_000_000_000 : remainder
  }

  public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Int64 {
  fileprivate func flooredDivision(_ divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

/// One immutable content of a file.
public struct Version: Hashable, Sendable {
  /// The random identity, by which the servers know the copies.
  public let id: VersionID
  /// Bytes.
  public let size: UInt64
  /// The MD5 of the whole content, by which the rule places the parts.
  public let md5: MD5Digest
  /// Which servers hold each part now.
  public var placement: Placement
  /// The number of the server list that the version was placed under; 1 is the first.
  public let serverList: UInt32
  private let digests: PartDigests

  /// - Parameter partDigests: four, or it traps.
  public init(
    id: VersionID, size: UInt64, md5: MD5Digest, placement: Placement, serverList: UInt32 = 1,
    partDigests: [BlockChecksum]
  ) {
    precondition(partDigests.count == Limits.partCount, "a version has four parts")
    var digests = PartDigests()
    for (part, digest) in partDigests.enumerated() { digests[part] = digest }
    self.init(
      id: id, size: size, md5: md5, placement: placement, serverList: serverList, digests: digests)
  }

  fileprivate init(
    id: VersionID, size: UInt64, md5: MD5Digest, placement: Placement, serverList: UInt32,
    digests: PartDigests
  ) {
    self.id = id
    self.size = size
    self.md5 = md5
    self.placement = placement
    self.serverList = serverList
    self.digests = digests
  }

  /// For each part the digest of its block checksums.
  public var partDigests: [BlockChecksum] { PartIndex.all.map { digest(of: $0) } }
  /// The digest of a part's block checksums.
  public func digest(of part: PartIndex) -> BlockChecksum { digests[part.value] }

  /// Which bytes are in which part.
  public var split: Split { Split(size: size) }
}

/// One digest for each part, in place: a version has no memory of its own.
private struct PartDigests: Hashable {
  private var first = BlockChecksum(0)
  private var second = BlockChecksum(0)
  private var third = BlockChecksum(0)
  private var fourth = BlockChecksum(0)

  subscript(part: Int) -> BlockChecksum {
    get {
      switch part {
      case 0: first
      case 1: second
      case 2: third
      default: fourth
      }
    }
    set {
      switch part {
      case 0: first = newValue
      case 1: second = newValue
      case 2: third = newValue
      default: fourth = newValue
      }
    }
  }
}

/// A file, directory or other object of a namespace.
public struct Inode: Hashable, Sendable {
  /// Never used twice in a namespace.
  public var id: InodeID
  /// File, directory, symbolic link, or one of the others.
  public var kind: FileKind
  /// The permission bits: 0 to 0o7777.
  public var mode: UInt32
  /// A user id.
  public var owner: UInt32
  /// A group id.
  public var group: UInt32
  /// The names that lead here; of a directory, two and one for each directory in it.
  public var links: UInt32
  /// When it was read last, as far as that is noted (`st_atime`, inode(7)).
  public var accessed: Timestamp
  /// When the content or the entries changed last (`st_mtime`).
  public var modified: Timestamp
  /// When the inode changed last (`st_ctime`).
  public var changed: Timestamp
  /// The device number of a device file.
  public var device: UInt64
  /// The directory that a directory is in; the inode's own id elsewhere and at the root.
  public var parent: InodeID
  /// What a symbolic link points to.
  public var target: [UInt8]
  /// The content of a regular file; nil as long as none was published.
  public var version: Version?

  /// A new object, with `time` as all three times; of `mode` the permission bits count.
  /// - Parameter parent: of a directory; nil for the inode's own id.
  public init(
    id: InodeID, kind: FileKind, mode: UInt32, owner: UInt32, group: UInt32, links: UInt32 = 1,
    time: Timestamp, device: UInt64 = 0, parent: InodeID? = nil, target: [UInt8] = [],
    version: Version? = nil
  ) {
    self.id = id
    self.kind = kind
    self.mode = mode & 0o7777
    self.owner = owner
    self.group = group
    self.links = links
    self.accessed = time
    self.modified = time
    self.changed = time
    self.device = device
    self.parent = parent ?? id
    self.target = target
    self.version = version
  }

  /// Bytes: of the content, or of the link's target.
  public var size: UInt64 {
    switch kind {
    case .regular: version?.size ?? 0
    case .symlink: UInt64(target.count)
    case .directory: 4096
    default: 0
    }
  }

  /// The row that holds this inode.
  public var row: RowWrite {
    let content = version.map {
      RowContent(version: $0.id, placement: $0.placement, home: Placement(md5: $0.md5))
    }
    return RowWrite(.inode(id), RowValue(bytes: encoded, content: content))
  }
}

extension Inode {
  private static let format: UInt8 = 1

  var encoded: [UInt8] {
    [UInt8](writing: 64 + target.count + 81) { writer in
      writer.put(Self.format)
      writer.put(kind.rawValue)
      for field in [mode, owner, group, links] { writer.put(field) }
      for time in [accessed, modified, changed] {
        writer.put(UInt64(bitPattern: time.nanoseconds))
      }
      writer.put(device)
      writer.put(parent.value)
      writer.put(UInt16(target.count))
      writer.put(target)
      writer.put(UInt8(version == nil ? 0 : 1))
      version?.write(to: &writer)
    }
  }

  /// Reads the row of inode `id`.
  /// - Throws: `damaged` if the bytes are not an inode's.
  public init(id: InodeID, row bytes: [UInt8]) throws(DFSError) {
    self = try bytes.withBytes { bytes throws(DFSError) in try Inode(id: id, reading: bytes) }
  }

  private init(id: InodeID, reading bytes: UnsafeRawBufferPointer) throws(DFSError) {
    var reader = ByteReader(bytes)
    let format = try reader.integer(UInt8.self)
    guard format == Self.format else {
      throw DFSError(.damaged, "inode \(id) has format \(format); this program reads 1")
    }
    guard let kind = FileKind(rawValue: try reader.integer(UInt8.self)) else {
      throw DFSError(.damaged, "inode \(id) is of no known kind")
    }
    let mode = try reader.integer(UInt32.self)
    let owner = try reader.integer(UInt32.self)
    let group = try reader.integer(UInt32.self)
    let links = try reader.integer(UInt32.self)
    let accessed = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let modified = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let changed = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let device = try reader.integer(UInt64.self)
    let parent = InodeID(try reader.integer(UInt64.self))
    let target = try reader.take(Int(try reader.integer(UInt16.self)))
    let hasVersion = try reader.integer(UInt8.self)
    let version = hasVersion == 1 ? try Version(reading: &reader) : nil
    guard reader.isAtEnd, hasVersion <= 1, mode <= 0o7777 else {
      throw DFSError(.damaged, "inode \(id) has bytes after its end or fields out of their limits")
    }
    self.init(
      id: id, kind: kind, mode: mode, owner: owner, group: group, links: links, time: changed,
      device: device, parent: parent, target: target, version: version)
    self.accessed = accessed
    self.modified = modified
  }
}

extension Version {
  fileprivate func write(to writer: inout ByteWriter) {
    writer.put(id.high)
    writer.put(id.low)
    writer.put(size)
    writer.put(md5.high)
    writer.put(md5.low)
    writer.put(serverList)
    for part in PartIndex.all {
      writer.put(placement.holders(of: part).rawValue)
      writer.put(digest(of: part).value)
    }
  }

  fileprivate init(reading reader: inout ByteReader) throws(DFSError) {
    let high = try reader.integer(UInt64.self)
    let low = try reader.integer(UInt64.self)
    let size = try reader.integer(UInt64.self)
    let md5 = MD5Digest(
      high: try reader.integer(UInt64.self), low: try reader.integer(UInt64.self))
    guard size <= Limits.fileBytes else {
      throw DFSError(.damaged, "a version of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
    let serverList = try reader.integer(UInt32.self)
    var packed: UInt16 = 0
    var digests = PartDigests()
    for part in 0..<Limits.partCount {
      let set = try reader.integer(UInt8.self)
      guard set <= ServerSet.all.rawValue else {
        throw DFSError(.damaged, "a part is held by servers \(set), of \(ServerSet.all.rawValue)")
      }
      packed |= UInt16(set) << (4 * part)
      digests[part] = BlockChecksum(try reader.integer(UInt64.self))
    }
    self.init(
      id: VersionID(high: high, low: low), size: size, md5: md5,
      placement: Placement(packed: packed), serverList: serverList, digests: digests)
  }
}
