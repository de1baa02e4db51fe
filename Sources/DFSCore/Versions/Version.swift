/// What a reader sees of a file: one immutable state of it, as a stack of contents (docs/FORMATS.md, "Inode rows").
///
/// Of a file at rest it is one content. One that was changed in place is a base and the layers that were written
/// over it, until it is settled: made one content again. Merging layers, and settling, change what a version is
/// made of; its identity and its bytes stay.
///
/// Byte `o`, from the newest layer down: what a layer wrote there; else zero, if `o` is not below the layer's `cut`;
/// else what is below it. Below all of them is the base, and zeros behind its end.
public struct Version: Hashable, Sendable {
  /// The random identity: that of the content, of a version that is one.
  public let id: VersionID
  /// Bytes.
  public let size: UInt64
  /// What the layers lie over; nil for nothing.
  public var base: Content?
  /// The oldest first.
  public var layers: [Layer]
  private let known: MD5Digest?

  /// The version that is one content.
  public init(_ content: Content) {
    id = content.id
    size = content.size
    base = content
    layers = []
    known = nil
  }

  /// - Parameters:
  ///   - layers: not empty; the newest has the size of the version.
  ///   - md5: of all its bytes, if it was computed.
  public init(id: VersionID, base: Content?, layers: [Layer], md5: MD5Digest? = nil) {
    precondition(!layers.isEmpty, "a version without layers is one content")
    self.id = id
    size = layers.last?.size ?? 0
    self.base = base
    self.layers = layers
    known = md5
  }

  /// The MD5 of all its bytes; nil as long as nobody computed it.
  public var md5: MD5Digest? { layers.isEmpty ? base?.md5 : known }
  /// The one content that it is; nil if there are layers.
  public var content: Content? { layers.isEmpty ? base : nil }
  /// All that it is made of: the base, then the layers from the oldest on.
  public var contents: [Content] { (base.map { [$0] } ?? []) + layers.map(\.content) }
  /// Bytes that are stored of it, copies not counted.
  public var storedBytes: UInt64 { contents.reduce(0) { $0 + $1.size } }
  /// It has its MD5, and is made of one content: it stays as it is until it is changed.
  public var isSettled: Bool {
    layers.isEmpty || base == nil && layers.count == 1 && (known != nil || isMostlyHoles)
  }

  /// Whether a file has so many holes that they are better not stored.
  /// - Parameter stored: bytes that are none.
  public static func isSparse(size: UInt64, stored: UInt64) -> Bool {
    !Split(size: size).isInline && size - min(size, stored) >= max(1 << 20, size / 16)
  }

  /// The MD5 of a file with more holes than these is not computed: it would take hours. Bytes.
  public static let hashedHoleBytes: UInt64 = 64 << 30
  private var isMostlyHoles: Bool { size - min(size, storedBytes) > Self.hashedHoleBytes }

  /// The most layers that a version may have.
  public static let layersLimit = 120

  /// The same bytes, made of others.
  public func made(of base: Content?, _ layers: [Layer]) -> Version {
    layers.isEmpty
      ? base.map(Version.init) ?? self : Version(id: id, base: base, layers: layers, md5: known)
  }
}

/// What was written over a version in one go, or several such put together: an immutable content, and where its
/// bytes belong.
public struct Layer: Hashable, Sendable {
  /// The inode without a name whose row asks the servers for the content.
  public var inode: InodeID
  /// The index, if it is not in the row, then the bytes of the extents, in their order.
  public var content: Content
  /// The smallest size that the file had since the version below: what is below shows up to here.
  public let cut: UInt64
  /// Bytes of the file with this layer.
  public let size: UInt64
  /// Where the extents are.
  public let index: Index

  /// Where a layer says what it covers.
  public enum Index: Hashable, Sendable {
    /// Here.
    case row([LayerExtent])
    /// In the first bytes of the content.
    case content(bytes: UInt32)
  }

  /// A layer of these bytes.
  public init(inode: InodeID, content: Content, cut: UInt64, size: UInt64, index: Index) {
    self.inode = inode
    self.content = content
    self.cut = cut
    self.size = size
    self.index = index
  }

  /// Where the bytes of the first extent are in the content.
  public var dataStart: UInt64 {
    switch index {
    case .row: 0
    case .content(let bytes): UInt64(bytes)
    }
  }
}

/// A range of a file that a layer covers. Its bytes are in the layer's content; a range of zeros has none there.
public struct LayerExtent: Hashable, Sendable {
  /// Bytes of the file; not empty.
  public let range: Range<UInt64>
  /// It reads as zeros, and takes no space.
  public let isZeros: Bool

  /// The bytes of a range, or zeros.
  public init(_ range: Range<UInt64>, isZeros: Bool = false) {
    self.range = range
    self.isZeros = isZeros
  }
}

extension [LayerExtent] {
  /// Bytes that the extents have in the content.
  public var storedBytes: UInt64 { reduce(0) { $0 + ($1.isZeros ? 0 : UInt64($1.range.count)) } }
}

/// Which of the contents of a version one is.
public enum ContentPlace: Hashable, Sendable {
  /// All of the version.
  case whole
  /// What the layers lie over.
  case base
  /// The layer of this number; 1 is the oldest.
  case layer(Int)

  /// After the name of a part: ` of layer 3`; nothing for the whole.
  public var suffix: String {
    switch self {
    case .whole: ""
    case .base: " of the base"
    case .layer(let number): " of layer \(number)"
    }
  }
}

extension Version {
  /// All that it is made of, in the order of `contents`, and which each one is.
  public var placed: [(place: ContentPlace, content: Content)] {
    let below = base.map { [(layers.isEmpty ? ContentPlace.whole : .base, $0)] } ?? []
    return below + layers.enumerated().map { (.layer($0.offset + 1), $0.element.content) }
  }
}
