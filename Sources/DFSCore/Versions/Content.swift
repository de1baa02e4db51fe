/// What is stored of files, and its bytes in rows (docs/FORMATS.md, "Inode rows").

/// One immutable content, split into four parts of which each is on two servers: of a file at rest the whole of it,
/// else what a version is made of.
public struct Content: Hashable, Sendable {
  /// The random identity, by which the servers know the copies.
  public let id: VersionID
  /// Bytes.
  public let size: UInt64
  /// The MD5 of the whole content, by which the rule places the parts.
  public let md5: MD5Digest
  /// Which servers hold each part now.
  public var placement: Placement
  /// The number of the server list that it was placed under; 1 is the first.
  public let serverList: UInt32
  private let digests: PartDigests

  /// - Parameter partDigests: four, or it traps.
  public init(
    id: VersionID, size: UInt64, md5: MD5Digest, placement: Placement, serverList: UInt32 = 1,
    partDigests: [BlockChecksum]
  ) {
    precondition(partDigests.count == Limits.partCount, "a content has four parts")
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

/// One digest for each part, in place: a content has no memory of its own.
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

extension Content {
  /// Bytes in a row.
  static let rowBytes = 80

  func write(to writer: inout ByteWriter) {
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

  init(reading reader: inout ByteReader) throws(DFSError) {
    let high = try reader.integer(UInt64.self)
    let low = try reader.integer(UInt64.self)
    let size = try reader.integer(UInt64.self)
    let md5 = MD5Digest(
      high: try reader.integer(UInt64.self), low: try reader.integer(UInt64.self))
    guard size <= Limits.fileBytes else {
      throw DFSError(.damaged, "a content of \(size) bytes; the limit is \(Limits.fileBytes)")
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
