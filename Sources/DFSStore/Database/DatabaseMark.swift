internal import DFSCore
internal import DFSSystem
internal import Glibc

/// What a user's directory says about its database besides the database: `namespace.mark`, one line.
/// Without it nobody would notice that a database or its write-ahead log is gone.
///
/// Invariants:
/// - `open` is on stable storage before anything that is written is acknowledged, and after the log
///   has its first frame: from then on the log must be there.
/// - SQLite empties the shared memory beside the log when the first process opens it again, so what it
///   said of the log is noted here before: a process that ends in between leaves no log unproved.
/// - `closed` is written when all of the log is in the database, on stable storage.
enum DatabaseMark: Hashable, Sendable {
  /// Somebody writes, or did when the process or the machine ended. The boot tells which.
  /// - Parameter extent: how long the log was before it was opened again; nil since it is written.
  case open(boot: String, extent: LogExtent?)
  /// Everything is in the database; there need be no log.
  case closed

  static let fileName = "namespace.mark"
  private static let limit = 256

  /// The mark of a user's directory; nil if there is none.
  /// - Throws: `damaged` if it cannot be read as one.
  static func read(_ directory: String) throws(DFSError) -> DatabaseMark? {
    let path = "\(directory)/\(fileName)"
    guard let length = try Disk.status(path)?.bytes else { return nil }
    let file = try File(path, flags: O_RDONLY)
    guard length <= UInt64(limit) else { throw unreadable }
    let text = String(decoding: try file.read(count: Int(length), at: 0), as: UTF8.self)
    guard let mark = DatabaseMark(text) else { throw unreadable }
    return mark
  }

  /// Replaces the mark, on stable storage.
  func write(_ directory: String) throws(DFSError) {
    let path = "\(directory)/\(Self.fileName)"
    let file = try File(path + ".new", flags: O_RDWR | O_CREAT | O_TRUNC)
    try Array(text.utf8).withBytes { bytes throws(DFSError) in
      try file.write(bytes, at: 0)
    }
    try file.sync()
    CrashPoint.reached(.markWritten)
    try Disk.rename(path + ".new", path)
    CrashPoint.reached(.markReplaced)
    try Disk.syncDirectory(directory)
  }

  /// `open BOOT EXTENT CHECKSUM` or `closed CHECKSUM`: the checksum is of what stands before it.
  private var text: String { "\(words) \(Self.checksum(words))\n" }

  private var words: String {
    switch self {
    case .open(let boot, let extent): "open \(boot) \(extent?.bytes.hexadecimal ?? "-")"
    case .closed: "closed"
    }
  }

  private init?(_ text: String) {
    let fields = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let mark: DatabaseMark
    switch (fields.first, fields.count) {
    case ("open", 4):
      let extent = [UInt8](hexadecimal: fields[2]).flatMap { LogExtent(bytes: $0) }
      mark = .open(boot: fields[1], extent: extent)
    case ("closed", 2): mark = .closed
    default: return nil
    }
    guard mark.text == text else { return nil }
    self = mark
  }

  private static func checksum(_ words: String) -> String {
    BlockChecksum.of(Array(words.utf8)).value.bigEndianBytes.hexadecimal
  }

  private static let unreadable = DFSError(.damaged, "\(fileName) beside it cannot be read")

  /// What the kernel calls the time since it was started; the same after a crash of a process,
  /// another after a loss of power.
  static let boot: String = {
    guard let file = try? File("/proc/sys/kernel/random/boot_id", flags: O_RDONLY),
      let bytes = try? file.read(count: 36, at: 0)
    else { return "unknown" }
    return String(decoding: bytes, as: UTF8.self)
  }()
}
