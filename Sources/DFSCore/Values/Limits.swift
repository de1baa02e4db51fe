/// The limits of the system. Whatever comes from outside is compared with one of these before
/// memory is taken for it.
public enum Limits {
  /// DFS1 to DFS4.
  public static let serverCount = 4
  /// Parts of a content, each a contiguous quarter.
  public static let partCount = 4
  /// Servers that must accept a change, of four; any two such sets share at least two.
  public static let quorum = 3

  /// The name of a directory entry (`NAME_MAX`, limits.h(0p)).
  public static let nameBytes = 255
  /// A path without the NUL at its end (`PATH_MAX` less one).
  public static let pathBytes = 4095
  /// The target of a symbolic link (`PATH_MAX` less one, symlink(2)).
  public static let symlinkBytes = 4095
  /// The name of a user, which is a directory's on the servers.
  public static let userNameBytes = 64
  /// As on ext4: <https://man7.org/linux/man-pages/man7/xattr.7.html>.
  public static let attributeNameBytes = 255
  /// The value of an extended attribute: 64 KiB (`XATTR_SIZE_MAX`, xattr(7)).
  public static let attributeValueBytes = 64 << 10

  /// The largest file: 2^53 bytes (8 PiB), exact in every language's numbers.
  public static let fileBytes: UInt64 = 1 << 53
  /// The numbers of changes, the rounds of views, and counts of whatever there are many of: 2^53,
  /// so that no sum of some of them comes near the end of 64 bits.
  public static let number: UInt64 = 1 << 53
  /// Bytes of a disk, or of all that somebody stores: 2^60.
  public static let storeBytes: UInt64 = 1 << 60
  /// A time in seconds since 1970, before or after.
  public static let seconds: UInt64 = 1 << 40
  /// How far the round of a view may be ahead of what a server has promised: more than a hundred
  /// years of honest use, and no way to the end of the rounds in one step.
  public static let roundsAhead: UInt64 = 1 << 32
  /// Checksums are taken over blocks of this many bytes of a part.
  public static let blockBytes = 64 << 10
  /// A part of at most this many bytes travels inside the change and is kept in the database.
  public static let inlinePartBytes = 32 << 10
  /// Raw bytes of one frame: the piece in which parts are sent.
  public static let chunkBytes = 1 << 20
  /// The protobuf header of a frame.
  public static let headerBytes = 4 << 20
  /// A whole frame before login.
  public static let loginFrameBytes = 4 << 10
  /// Seconds that a connection has to log in.
  public static let loginSeconds = 10
  /// Row writes of one change.
  public static let changeWrites = 4096
  /// Encoded rows that one answer to a query, a log request or a page of a transfer may hold.
  public static let answerBytes = 1 << 20
  /// Questions for rows that are answered together. With `answerBytes` this keeps an answer below
  /// `headerBytes`, as long as a row of one inode has about 4.3 KB; one with layers may have 44 KB.
  public static let queries = 512
}
