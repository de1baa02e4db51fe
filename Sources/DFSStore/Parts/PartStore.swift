internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Glibc
internal import Logging
internal import Synchronization

/// A user's copies as plain files: `parts/ab/<version>.<part>`, `tmp/` for what is not complete and
/// `damaged/` for what was quarantined.
///
/// Invariants:
/// - A file under its final name is complete: it got there by rename, its checksums verified.
/// - Nothing of another user is reachable: a path is made only of a `PartID`.
/// - Removing is for the user's writer only (Writer.swift), so that it never meets a change that
///   names the version.
final class PartStore: Sendable {
  let directory: String
  /// Which copies the rows ask for here.
  let required: RequiredReplicas
  let unsynced: UnsyncedParts
  let openFiles: OpenPartFiles
  private let folders: PartFolders
  private let logger: Logger
  private struct Count {
    var bytes: Int64 = 0
    var isCounted = false
  }

  /// Bytes of the copies here. Copies that come or go while they are counted may be counted wrongly
  /// until the next sweep: the number is for people.
  private let total = Mutex(Count())

  /// What this user may take.
  let allowance = Allowance()

  init(
    directory: String, required: RequiredReplicas, openFiles: OpenPartFiles, logger: Logger
  ) {
    self.directory = directory
    self.required = required
    self.openFiles = openFiles
    self.logger = logger
    folders = PartFolders(directory: directory + "/parts")
    unsynced = UnsyncedParts(
      folders: folders, damagedDirectory: directory + "/damaged", logger: logger)
  }

  var temporaryDirectory: String { directory + "/tmp" }
  var usedBytes: UInt64 { UInt64(max(0, total.withLock { $0.bytes })) }

  /// Makes the directories and removes what an ended process left in `tmp`.
  func prepare() throws(DFSError) {
    if !Disk.exists(directory + "/parts") { try noteScrub() }
    for name in ["parts", "tmp", "damaged"] {
      try Disk.makeDirectory("\(directory)/\(name)")
    }
    // Folders that an ended process made may have been left unsynced.
    try Disk.syncDirectory(directory + "/parts")
    for name in try Disk.names(in: temporaryDirectory) ?? [] {
      try Disk.remove("\(temporaryDirectory)/\(name)")
    }
  }

  func path(of id: PartID) -> String { "\(folders.path(of: id.version))/\(id)" }

  func exists(_ id: PartID) -> Bool { Disk.exists(path(of: id)) }

  /// The parts of `version` that are here as files.
  func parts(of version: VersionID) -> [PartIndex] {
    PartIndex.all.filter { exists(PartID(version: version, part: $0)) }
  }

  // MARK: Reading

  /// Whole blocks that cover `range`, at most `Limits.chunkBytes` of them, verified; nil if the
  /// copy is not here as a file.
  func read(_ id: PartID, range: Range<UInt64>) throws(DFSError) -> (PartExtent, [UInt8])? {
    guard let part = try open(id) else { return nil }
    return try read(part, range: range)
  }

  /// Opens a copy and reads its footer; nil if it is not here as a file.
  func open(_ id: PartID) throws(DFSError) -> OpenPartFiles.Part? {
    let file: File
    do {
      file = try File(path(of: id), flags: O_RDONLY)
    } catch {
      if error.code == .notFound { return nil }
      throw error
    }
    return OpenPartFiles.Part(
      file: file, identity: try file.identity(), layout: try PartLayout.read(file, of: id))
  }

  /// Whole blocks that cover `range`, as of `read`.
  func read(
    _ part: OpenPartFiles.Part, range: Range<UInt64>
  ) throws(DFSError) -> (PartExtent, [UInt8]) {
    let (file, layout, id) = (part.file, part.layout, part.layout.id)
    let blocks = layout.blocks(covering: range).prefixOfOneChunk
    let checksums = try layout.checksums(file, blocks: blocks)
    let extent = layout.bytes(of: blocks)
    let bytes = try file.read(count: extent.count, at: extent.lowerBound)
    if let bad = Checksums.firstMismatch(bytes, checksums) {
      let block = blocks.lowerBound + UInt64(bad)
      throw PartLayout.damage(
        file, "block \(block), bytes \(layout.bytes(of: block..<block + 1)) of \(id)")
    }
    return (
      PartExtent(id: id, length: layout.length, offset: extent.lowerBound, checksums: checksums),
      bytes
    )
  }

  /// A small copy that is here as a file; nil if it is not, or cannot be read.
  func small(_ id: PartID) -> InlinePart? {
    let limit = UInt64(Limits.inlinePartBytes)
    guard let (extent, bytes) = try? read(id, range: 0..<limit), extent.length <= limit else {
      return nil
    }
    return InlinePart(id: id, bytes: bytes, checksum: .of(bytes))
  }

  // MARK: Writing

  /// Puts a written temporary file in its place. Each step and the crash that it is for:
  /// 1. The data, checksums and footer are written and (durable) on stable storage: after a crash
  ///    a file with the final name has all its bytes.
  /// 2. Rename: a crash of the process leaves the whole copy or none; what is left in `tmp` is
  ///    removed at the next start.
  /// 3. The directory is on stable storage (durable): after a loss of power the name is there.
  /// Without `durable`, 1 and 3 are done later by `unsynced`, before any change that names the copy
  /// is on stable storage.
  func complete(
    _ file: File, _ layout: PartLayout, checksums: [BlockChecksum], durable: Bool
  ) throws(DFSError) {
    let path = path(of: layout.id)
    try layout.tail(checksums).withBytes { bytes throws(DFSError) in
      try file.write(bytes, at: layout.checksumsOffset)
    }
    CrashPoint.reached(.copyWritten)
    try refuseDifferent(layout, checksums)
    let folder = folders.path(of: layout.id.version)
    try folders.make(folder)
    let replaced = try Disk.status(path)?.bytes ?? 0
    if durable {
      try file.sync()
      CrashPoint.reached(.copySynced)
      try Disk.rename(file.path, path)
      CrashPoint.reached(.copyRenamed)
      try folders.sync(folder)
      unsynced.forget(layout.id)
    } else {
      try unsynced.place(layout.id, file, path: path)
      CrashPoint.reached(.copyPlaced)
    }
    if replaced > 0 { openFiles.forget(path) }
    count(Int64(layout.fileBytes) - Int64(replaced))
  }

  /// A copy that is here and whole is never replaced by another content.
  private func refuseDifferent(
    _ layout: PartLayout, _ checksums: [BlockChecksum]
  ) throws(DFSError) {
    let present: [BlockChecksum]
    do {
      let file = try File(path(of: layout.id), flags: O_RDONLY)
      present = try PartLayout.read(file, of: layout.id).verifiedChecksums(file)
      try verify(layout.id)
    } catch {
      // What cannot be read is no better than what is wrong, and must not stand in the way.
      if error.code == .damaged || error.code == .inputOutput {
        return try quarantine(layout.id, because: error)
      }
      if error.code == .notFound { return }
      throw error
    }
    guard present == checksums else {
      throw DFSError(
        .exists, "part \(layout.id) is here with another content; a version never changes")
    }
  }

  /// Reads all of a copy.
  /// - Throws: `damaged` if a block does not match its checksum.
  private func verify(_ id: PartID) throws(DFSError) {
    var offset: UInt64 = 0
    while let (extent, bytes) = try read(id, range: offset..<offset + UInt64(Limits.chunkBytes)),
      !bytes.isEmpty, extent.offset + UInt64(bytes.count) < extent.length
    {
      offset = extent.offset + UInt64(bytes.count)
    }
  }

  /// Removes the copies; that there is none is fine. For the writer only.
  func remove(_ ids: [PartID]) throws(DFSError) {
    for id in ids {
      guard let size = try Disk.status(path(of: id))?.bytes else { continue }
      try Disk.remove(path(of: id))
      openFiles.forget(path(of: id))
      unsynced.forget(id)
      count(-Int64(size))
    }
  }

  /// Moves a damaged copy out of the way, for whoever wants to look at it: it is not here any more,
  /// and a new one may take its place.
  func quarantine(_ id: PartID, because error: DFSError) throws(DFSError) {
    logger.error(
      "a damaged copy is quarantined",
      metadata: ["part": "\(id)", "file": "\(path(of: id))", "error": "\(error)"])
    try Disk.rename(path(of: id), "\(directory)/damaged/\(id).\(WallClock.seconds)")
    CrashPoint.reached(.damagedQuarantined)
    unsynced.forget(id)
  }

  /// Copies that were quarantined, ever.
  func damagedCount() throws(DFSError) -> UInt64 {
    let names = try Disk.names(in: directory + "/damaged") ?? []
    return UInt64(names.count { !$0.hasPrefix("namespace.") })
  }

  // MARK: Scrub

  private var scrubMark: String { directory + "/scrubbed" }

  /// When the last round of scrub ended, in seconds since 1970; 0 if none has.
  func lastScrubSeconds() throws(DFSError) -> Int64 {
    try Disk.status(scrubMark)?.modifiedSeconds ?? 0
  }

  /// A round of scrub has ended: the time of an empty file says when.
  func noteScrub() throws(DFSError) {
    _ = try File(scrubMark + ".new", flags: O_WRONLY | O_CREAT | O_TRUNC)
    try Disk.rename(scrubMark + ".new", scrubMark)
  }

  // MARK: Counting

  private func count(_ difference: Int64) { total.withLock { $0.bytes += difference } }

  /// Sets what a walk over all folders found.
  func setCount(_ bytes: UInt64) {
    total.withLock { $0 = Count(bytes: Int64(bytes), isCounted: true) }
  }

  /// Counts the copies if that was not done since the start.
  func countOnce() throws(DFSError) {
    guard !total.withLock({ $0.isCounted }) else { return }
    var bytes: UInt64 = 0
    for folder in try folderNames() {
      bytes += try files(inFolder: folder).reduce(0) { $0 + $1.bytes }
    }
    setCount(bytes)
  }

  /// The copies in one of the 256 folders.
  func files(inFolder name: String) throws(DFSError) -> [StoredCopy] {
    let folder = "\(directory)/parts/\(name)"
    var copies: [StoredCopy] = []
    for file in try Disk.names(in: folder) ?? [] {
      guard let id = PartID(fileName: file) else { continue }
      guard let status = try Disk.status("\(folder)/\(file)") else { continue }
      copies.append(
        StoredCopy(id: id, bytes: status.bytes, modifiedSeconds: status.modifiedSeconds))
    }
    return copies
  }

  func folderNames() throws(DFSError) -> [String] {
    (try Disk.names(in: directory + "/parts") ?? []).filter { $0.utf8.count == 2 }
  }
}

/// A part file as a directory lists it.
struct StoredCopy: Hashable, Sendable {
  let id: PartID
  let bytes: UInt64
  let modifiedSeconds: Int64
}

extension PartID {
  /// Reads the name of a part file: 32 hexadecimal digits, a dot, 1 to 4.
  package init?(fileName: String) {
    let pieces = fileName.split(separator: ".", omittingEmptySubsequences: false)
    guard pieces.count == 2, pieces[0].utf8.count == 32, let number = Int(pieces[1]),
      let bytes = [UInt8](hexadecimal: String(pieces[0])), let version = VersionID(bytes: bytes),
      let part = PartIndex(checking: number - 1)
    else { return nil }
    self.init(version: version, part: part)
    guard description == fileName else { return nil }
  }
}

extension Range<UInt64> {
  /// As many of these blocks as fit in one frame.
  fileprivate var prefixOfOneChunk: Range<UInt64> {
    lowerBound..<Swift.min(upperBound, lowerBound + UInt64(Limits.chunkBytes / Limits.blockBytes))
  }
}
