/// What is said about a file that was read back, or one content of it.

public import DFSCore

extension FileCheck {
  /// What was found out about a file, or one content of it.
  public struct Verdict: Hashable, Sendable {
    /// Copies of parts that have bytes; a part without bytes needs no copy.
    public internal(set) var copies = 0
    /// Those of which every byte was asked for.
    public internal(set) var copiesRead = 0
    /// Bytes of good blocks that were read, of all copies together.
    public internal(set) var bytesRead: UInt64 = 0
    /// In the order of contents, then of parts, then of servers.
    public internal(set) var bad: [BadCopy] = []
    /// Parts of which no copy is good, of any content.
    public internal(set) var lostParts: [PartIndex] = []
    /// Contents whose parts are good, and which still are not what they should be.
    public internal(set) var wrong: [WrongContent] = []

    /// Of a file that has no version yet: nothing is wrong with it.
    public init() {}

    /// Counts what was found out about another content of the same version, too.
    mutating func add(_ other: Verdict) {
      copies += other.copies
      copiesRead += other.copiesRead
      bytesRead += other.bytesRead
      bad += other.bad
      lostParts = Set(lostParts + other.lostParts).sorted()
      wrong += other.wrong
    }

    /// Whether nothing is wrong with any copy that was looked at, or with a content.
    public var isGood: Bool { bad.isEmpty && isReadable }
    /// Whether each part has a good copy, and together they are what they should be.
    public var isReadable: Bool { lostParts.isEmpty && wrong.isEmpty }
  }

  /// A copy that is not what it should be.
  public struct BadCopy: Hashable, Sendable {
    /// The content that it is of.
    public let place: ContentPlace
    /// The part that it is a copy of.
    public let part: PartIndex
    /// The server that should have it.
    public let server: ServerIndex
    /// What is wrong with it.
    public let fault: CopyFault
    /// The first bad byte of the content; nil if nothing of the copy can be had.
    public let offset: UInt64?
    /// Bytes of damaged blocks, as far as they were read.
    public let badBytes: UInt64
    /// The error that told so, for people.
    public let problem: DFSError
  }

  /// A content of good parts that is not what it should be.
  public struct WrongContent: Hashable, Sendable {
    /// What is wrong.
    public enum Problem: Hashable, Sendable {
      /// The bytes have this MD5, and the row says another.
      case md5(MD5Digest)
      /// Where the bytes of a layer belong cannot be told.
      case index(DFSError)
    }

    /// Which content.
    public let place: ContentPlace
    /// What is wrong with it.
    public let problem: Problem
  }
}
