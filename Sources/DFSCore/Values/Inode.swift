/// What an inode's row says, and its bytes (docs/FORMATS.md, "Inode rows").

/// The kinds of inodes; the raw value is the byte in an inode's row.
public enum FileKind: UInt8, Sendable, Hashable, CaseIterable {
  case regular = 1
  case directory, symlink, fifo, socket, characterDevice, blockDevice
  /// No object of the namespace: it has no name, and keeps the content of a layer of the file `parent`.
  case layer
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
  /// The directory that a directory is in, the file that a layer belongs to; the inode's own id elsewhere and at
  /// the root.
  public var parent: InodeID
  /// What a symbolic link points to.
  public var target: [UInt8]
  /// What a regular file has; nil as long as nothing was published. Of a layer its content.
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
    case .regular, .layer: version?.size ?? 0
    case .symlink: UInt64(target.count)
    case .directory: 4096
    default: 0
    }
  }

  /// The content whose copies the inode's row asks the servers for: of a version with layers the base, for each
  /// layer has a row of its own.
  public var content: Content? { version?.base }

  /// The row that holds this inode.
  public var row: RowWrite {
    let content = content.map {
      RowContent(version: $0.id, placement: $0.placement, home: Placement(md5: $0.md5))
    }
    return RowWrite(.inode(id), RowValue(bytes: encoded, content: content))
  }
}
