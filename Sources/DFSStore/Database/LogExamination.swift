internal import DFSCore
internal import DFSSystem
internal import Glibc

/// Proving that the write-ahead log of a process that ended is whole, before SQLite reads it: SQLite
/// takes the log to end where a checksum is wrong, and would silently drop every change after it.
///
/// After a crash of the process the kernel still has every write, also those to the shared-memory
/// file beside the log, which says how many frames were committed: all of them must be good. After a
/// loss of power the end of the log may rightly be missing, and the shared memory says nothing: the
/// log must be there, and begin as one.
/// (The formats: https://www.sqlite.org/walformat.html.)
struct LogExamination {
  private static let headerBytes = 32
  private static let frameHeaderBytes = 24

  private let file: File
  private let length: UInt64
  private let header: [UInt8]
  private let isBigEndian: Bool
  private let pageBytes: Int

  /// - Parameters:
  ///   - isSameBoot: whether the machine has run ever since the log was begun.
  ///   - noted: how long the log was when somebody last began to open it, if nobody wrote since.
  /// - Returns: how long it is; nil if nothing tells.
  /// - Throws: `damaged`, with what is wrong.
  static func examine(
    database path: String, isSameBoot: Bool, noted: LogExtent?
  ) throws(DFSError) -> LogExtent? {
    let log = try LogExamination(path + "-wal")
    guard isSameBoot else { return nil }
    guard let extent = try LogExtent.read(path + "-shm") ?? noted else {
      throw damage("\(path)-shm, which says how long its log is, is missing or cannot be read")
    }
    if extent.frames > 0 { try log.check(extent) }
    return extent
  }

  private init(_ path: String) throws(DFSError) {
    guard let length = try Disk.status(path)?.bytes, length >= UInt64(Self.headerBytes) else {
      throw Self.damage("its log, \(path), is missing or empty, though the database was in use")
    }
    file = try File(path, flags: O_RDONLY)
    self.length = length
    header = try file.read(count: Self.headerBytes, at: 0)
    let magic = UInt32(bigEndian: header[0..<4])
    isBigEndian = magic & 1 == 1
    pageBytes = Int(UInt32(bigEndian: header[8..<12]))
    var sum = LogChecksum(isBigEndian: isBigEndian)
    sum.add(header[0..<24])
    let isGood =
      magic & ~1 == 0x377f_0682 && sum == LogChecksum(stored: header[24..<32], isBigEndian)
      && (512...65536).contains(pageBytes)
    guard isGood else { throw Self.damage("its log, \(path), does not begin as one") }
  }

  /// Reads the frames that were committed, each against the running checksum.
  private func check(_ index: LogExtent) throws(DFSError) {
    guard index.salts == Array(header[16..<24]) else {
      throw Self.damage("its log, \(file.path), is not the one that was in use")
    }
    var sum = LogChecksum(stored: header[24..<32], isBigEndian)
    for number in 0..<UInt64(index.frames) {
      let bytes = Self.frameHeaderBytes + pageBytes
      let offset = UInt64(Self.headerBytes) + number * UInt64(bytes)
      guard offset + UInt64(bytes) <= length else {
        throw Self.damage(
          "its log, \(file.path), ends at byte \(length), before frame \(number + 1) of \(index.frames)"
        )
      }
      let frame = try file.read(count: bytes, at: offset)
      sum.add(frame[0..<8])
      sum.add(frame[Self.frameHeaderBytes...])
      let isGood =
        frame[8..<16] == header[16..<24] && sum == LogChecksum(stored: frame[16..<24], isBigEndian)
      guard isGood else {
        throw Self.damage(
          "frame \(number + 1) of \(index.frames) of its log, \(file.path), is not what was written"
        )
      }
    }
    guard sum.isNative(index.checksum) else {
      throw Self.damage("its log, \(file.path), does not end as it did when it was in use")
    }
  }

  static func damage(_ text: String) -> DFSError { DFSError(.damaged, text) }
}

/// What was committed to a log, as the first bytes of the shared-memory file say it.
struct LogExtent: Hashable, Sendable {
  let frames: UInt32
  /// After the last of the frames.
  let checksum: [UInt8]
  let salts: [UInt8]

  private static let headerBytes = 48

  /// There are two copies, the second written first; a process may have ended between. When a
  /// process opens the file as the only one, SQLite empties it.
  static func read(_ path: String) throws(DFSError) -> LogExtent? {
    guard let length = try Disk.status(path)?.bytes, length >= UInt64(2 * headerBytes) else {
      return nil
    }
    let file = try File(path, flags: O_RDONLY)
    for place in 0..<2 {
      let copy = try file.read(count: headerBytes, at: UInt64(place * headerBytes))
      if let extent = LogExtent(header: copy) { return extent }
    }
    return nil
  }

  private init?(header: [UInt8]) {
    var sum = LogChecksum(isBigEndian: false)
    sum.add(header[0..<40])
    guard sum.isNative(Array(header[40..<48])), header[12] != 0 else { return nil }
    frames = UInt32(littleEndian: header[16..<20])
    checksum = Array(header[24..<32])
    salts = Array(header[32..<40])
  }

  /// As the mark keeps it.
  var bytes: [UInt8] { frames.bigEndianBytes + salts + checksum }

  init?(bytes: [UInt8]) {
    guard bytes.count == 20 else { return nil }
    frames = UInt32(bigEndian: bytes[0..<4])
    salts = Array(bytes[4..<12])
    checksum = Array(bytes[12..<20])
  }
}

/// SQLite's checksum of the log: two words that run over all frames.
private struct LogChecksum: Hashable {
  private var first: UInt32 = 0
  private var second: UInt32 = 0
  private let isBigEndian: Bool

  init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }

  /// As it is kept in the log, whatever the order of the summed words is.
  init(stored: ArraySlice<UInt8>, _ isBigEndian: Bool) {
    self.isBigEndian = isBigEndian
    first = UInt32(bigEndian: stored.prefix(4))
    second = UInt32(bigEndian: stored.dropFirst(4))
  }

  /// Whether these 8 bytes of the shared memory are this checksum.
  func isNative(_ bytes: [UInt8]) -> Bool {
    first == UInt32(littleEndian: bytes[0..<4]) && second == UInt32(littleEndian: bytes[4..<8])
  }

  /// - Parameter bytes: a multiple of 8.
  mutating func add(_ bytes: ArraySlice<UInt8>) {
    bytes.withUnsafeBytes { buffer in
      for offset in stride(from: 0, to: buffer.count - 7, by: 8) {
        first = first &+ word(buffer, offset) &+ second
        second = second &+ word(buffer, offset + 4) &+ first
      }
    }
  }

  private func word(_ buffer: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
    let raw = buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    return isBigEndian ? UInt32(bigEndian: raw) : UInt32(littleEndian: raw)
  }
}

extension UInt32 {
  fileprivate init(littleEndian bytes: ArraySlice<UInt8>) {
    self = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}
