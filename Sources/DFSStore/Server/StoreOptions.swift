/// The settings of a server's store. Every duration is in the unit that its name ends in.
public struct StoreOptions: Sendable, Hashable {
  /// Every change and every copy is on stable storage before it is acknowledged.
  public var syncAlways = false
  /// What was acknowledged without stable storage is brought there after this long.
  public var flushMilliseconds = 400
  /// A version that was replaced is kept this long for readers that have it open elsewhere.
  public var keepReplacedSeconds: Int64 = 60
  /// What a state transfer replaced, rows and copies, is kept this long: who brought it may be wrong.
  public var keepTransferredSeconds: Int64 = 7 * 24 * 3600
  /// Bytes of rows that are kept so for one user.
  public var keptBytes: UInt64 = 1 << 30
  /// A complete copy that no change ever named is removed after this long.
  public var keepOrphansSeconds: Int64 = 3600
  /// How often the collector looks for what may be removed.
  public var collectSeconds = 10
  /// The log keeps at least this many of the last changes, as long as they are within `logBytes`.
  public var logChanges = 10_000
  /// Bytes of changes that the log keeps.
  public var logBytes = 16 << 20
  /// Databases that are open at the same time; the least recently used idle one is closed.
  public var openDatabases = 64
  /// All copies are read back once in so many days; 0 for never (but when asked to).
  public var scrubDays = 7
  /// Bytes a second that such a round reads.
  public var scrubBytesPerSecond: UInt64 = 8 << 20
  /// Threads for part files, for tables that are read, and for tables that are written.
  public var bulkThreads = 6
  /// Threads for tables that are read.
  public var queryThreads = 4
  /// Threads for tables that are written.
  public var writerThreads = 8

  /// The defaults, as without options of `dfs`.
  public init() {}
}
