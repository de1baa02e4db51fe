public import DFSCore
internal import DFSSystem
internal import Foundation
internal import Glibc

/// A content that a mount could not store before it had to let go of it.
public struct KeptFile: Hashable, Sendable, Codable {
  /// The name of its two files in the directory, and what people call it by.
  public var id: String
  /// `USER@CLUSTER`.
  public var owner: String
  /// The namespace that the file is of, in hexadecimal; nil in what releases before 1.1 kept, and where no
  /// server had told it yet.
  public var namespace: String?
  /// Where the file was, as far as the mount knew; all bytes (`ByteText`).
  public var path: String
  /// The inode number of the directory that the file was in.
  public var parent: UInt64
  /// The name's bytes.
  public var name: [UInt8]
  /// The inode number of the file.
  public var inode: UInt64
  /// The version that the content was to replace, in hexadecimal; nil for a new file.
  public var base: String?
  /// Bytes.
  public var size: UInt64
  /// The permission bits: 0 to 0o7777.
  public var mode: UInt32
  /// The user id of the owner.
  public var ownerUser: UInt32
  /// The group id of the file.
  public var ownerGroup: UInt32
  /// Nanoseconds since 1970.
  public var modified: Int64
  /// Nanoseconds since 1970.
  public var kept: Int64
  /// Why it could not be stored.
  public var reason: String
  /// What of the content could not be fetched when it was kept: ranges, each as its first byte and the one
  /// after its last, ascending, that read as zeros here and are to come from the version `base`. Nil if the
  /// content is whole.
  public var missing: [[UInt64]]?

  /// A content to be kept; its `id` is the second of `kept` and four random hexadecimal digits.
  /// - Parameters:
  ///   - inode: tells number, permission bits, owner and group, and the version that is the base.
  ///   - size: bytes of the content, which may be others than those of `inode`.
  ///   - missing: ranges of the content that are only in the version that is the base.
  public init(
    owner: String, namespace: NamespaceID?, path: String, parent: InodeID, name: FileName,
    _ inode: Inode, size: UInt64, missing: [Range<UInt64>] = [],
    modified: Timestamp, kept: Timestamp, reason: String
  ) {
    id = Self.newID(kept)
    self.owner = owner
    self.namespace = namespace?.description
    self.path = path
    self.parent = parent.value
    self.name = name.bytes
    self.inode = inode.id.value
    base = inode.version?.id.description
    self.size = size
    mode = inode.mode
    ownerUser = inode.owner
    ownerGroup = inode.group
    self.modified = modified.nanoseconds
    self.kept = kept.nanoseconds
    self.reason = reason
    if !missing.isEmpty { self.missing = missing.map { [$0.lowerBound, $0.upperBound] } }
  }

  /// Bytes of the content that are only in the version `base`.
  public var missingBytes: UInt64 { ((try? missingRanges()) ?? []).byteCount }

  /// - Throws: `damaged` if `missing` is not as it says.
  func missingRanges() throws(DFSError) -> [Range<UInt64>] {
    var end: UInt64 = 0
    var ranges: [Range<UInt64>] = []
    for pair in missing ?? [] {
      guard pair.count == 2, end <= pair[0], pair[0] < pair[1], pair[1] <= size else {
        throw DFSError(
          .damaged, "\(id).partial.json names missing ranges that are none of \(size) bytes")
      }
      ranges.append(pair[0]..<pair[1])
      end = pair[1]
    }
    return ranges
  }

  /// Whether it is of this namespace; nil where it does not say.
  public func isOf(_ namespace: NamespaceID?) -> Bool? {
    self.namespace.map { $0 == namespace?.description }
  }

  /// Another identifier, of the same second.
  mutating func renew() { id = Self.newID(Timestamp(nanoseconds: kept)) }

  private static func newID(_ time: Timestamp) -> String {
    let salt = UInt16.random(in: .min ... .max).bigEndianBytes.hexadecimal
    return "\(UInt64(max(0, time.seconds)))-\(salt)"
  }
}

/// The directory where mounts keep what they could not store, until `dfc recover` brings it back:
/// `ID.data` is a content, `ID.json` says whose; of one that is not whole `ID.partial.json` does, which
/// programs that know only whole ones leave alone. What has neither was not kept to the end.
public struct KeptFiles: Sendable {
  /// `recover` in the cache directory; it need not be there yet.
  public let directory: String
  /// Bytes that all contents there may have together.
  private let limit: UInt64

  /// - Parameter cache: the cache directory of the configuration.
  public init(cache: String, limit: UInt64) {
    directory = cache + "/recover"
    self.limit = limit
  }

  // MARK: Keeping

  /// Identifiers that are tried if they are taken.
  private static let attempts = 1000

  /// Bytes that the contents to be kept may have together.
  public func room() throws(DFSError) -> UInt64 {
    try list().reduce(limit) { $0 - min($1.size - $1.missingBytes, $0) }
  }

  /// Keeps a content, on stable storage.
  /// - Parameter save: writes the content to a path, with mode 0600; throws `exists` if something is there.
  /// - Returns: the file under the identifier that it got: another one if its own was taken.
  /// - Throws: `noSpace` if the directory has no room for it.
  public func keep(
    _ file: KeptFile, save: (String) throws(DFSError) -> Void
  ) throws(DFSError) -> KeptFile {
    let room = try room()
    guard file.size - file.missingBytes <= room else {
      throw DFSError(
        .noSpace,
        "\(directory) keeps \(limit - room) bytes already, and Spool-Size limits them to \(limit); "
          + "'dfc recover' brings them back")
    }
    if mkdir(directory, 0o700) != 0, errno != EEXIST { throw problem("making", directory) }
    var file = file
    var left = Self.attempts
    while true {
      let data = path(file, "data")
      do throws(DFSError) {
        try save(data)
        try write(file, to: recordPath(of: file))
        return file
      } catch {
        // What is there is of another file that is kept.
        guard error.code == .exists else {
          unlink(data)
          throw error
        }
        left -= 1
        guard left > 0 else { throw error }
        file.renew()
      }
    }
  }

  private func write(_ file: KeptFile, to path: String) throws(DFSError) {
    do {
      let temporary = path + ".new"
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      try encoder.encode(file).write(to: URL(fileURLWithPath: temporary))
      try sync(temporary)
      guard rename(temporary, path) == 0 else { throw problem("renaming to", path) }
      try sync(directory)
    } catch {
      throw DFSError(.inputOutput, "cannot write \(path)", cause: error)
    }
  }

  private func sync(_ path: String) throws(DFSError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw problem("opening", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw problem("bringing to stable storage", path) }
  }

  private func problem(_ verb: String, _ path: String) -> DFSError {
    .system("\(verb) \(path)")
  }

  // MARK: What is kept

  /// All that is kept, the oldest first. What cannot be read is left out.
  public func list() throws(DFSError) -> [KeptFile] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else {
      return []
    }
    return names.filter { $0.hasSuffix(".json") }.compactMap { name in
      guard let bytes = FileManager.default.contents(atPath: directory + "/" + name),
        let file = try? JSONDecoder().decode(KeptFile.self, from: bytes),
        recordPath(of: file) == directory + "/" + name
      else { return nil }
      return file
    }.sorted { ($0.kept, $0.id) < ($1.kept, $1.id) }
  }

  /// Where the content is.
  public func dataPath(of file: KeptFile) -> String { path(file, "data") }

  /// Forgets a content.
  public func remove(_ file: KeptFile) throws(DFSError) {
    for path in [recordPath(of: file), path(file, "data")] {
      if unlink(path) != 0, errno != ENOENT { throw problem("removing", path) }
    }
  }

  private func recordPath(of file: KeptFile) -> String {
    path(file, file.missing == nil ? "json" : "partial.json")
  }

  private func path(_ file: KeptFile, _ kind: String) -> String {
    "\(directory)/\(file.id).\(kind)"
  }
}

extension KeptFiles {
  /// Publishes a kept content. If its file is still what it was, it becomes that file's version, from
  /// which comes what the content lacks; if it was changed or removed meanwhile, it gets its name in its
  /// directory, or, if that is taken, a name beside it: nothing is replaced that was not seen by who wrote
  /// it.
  /// - Parameter date: for the name beside it.
  /// - Returns: the name that it has now, and whether it is a name beside the old one.
  /// - Throws: `incomplete` if the content lacks bytes of a version that its file has no more.
  public func restore(
    _ file: KeptFile, _ content: any ContentSource, on service: any FileService, date: String,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> (name: FileName, isBeside: Bool) {
    guard content.size == file.size else {
      throw DFSError(
        .damaged, "\(dataPath(of: file)) has \(content.size) bytes; \(file.size) were kept")
    }
    let name = try FileName(file.name)
    let missing = try file.missingRanges()
    let id = InodeID(file.inode)
    if let inode = try await existing({ try await service.inode(id, .current) }),
      inode.kind == .regular, inode.version?.id.description == file.base
    {
      try await replace(inode, by: content, missing, file, on: service, progress: progress)
      return (name, false)
    }
    guard missing.isEmpty else { throw incomplete(file) }
    let parent = try await directory(InodeID(file.parent), on: service)
    var (candidate, attempt) = (name, 0)
    while try await existing({ try await service.lookup(parent, candidate, .current) }) != nil {
      attempt += 1
      candidate = try name.appending(" (recovered \(attempt == 1 ? date : "\(date) \(attempt)"))")
    }
    let new = NewInode(
      kind: .regular, mode: file.mode, owner: file.ownerUser, group: file.ownerGroup)
    _ = try await service.publish(
      content, to: .name(parent: parent, candidate, new), durable: true, progress: progress)
    return (candidate, attempt > 0)
  }

  private func replace(
    _ inode: Inode, by content: any ContentSource, _ missing: [Range<UInt64>], _ file: KeptFile,
    on service: any FileService, progress: (@Sendable (UInt64) -> Void)?
  ) async throws {
    let modified = Timestamp(nanoseconds: file.modified)
    let target = PublishTarget.inode(inode.id, modified: modified, changed: modified)
    guard let version = inode.version, !missing.isEmpty else {
      _ = try await service.publish(content, to: target, durable: true, progress: progress)
      return
    }
    if let last = missing.last, last.upperBound > version.size { throw incomplete(file) }
    let whole = CompletedContent(
      written: content, missing: MissingBytes(missing, of: version), service: service)
    _ = try await service.pinning(version) {
      try await service.publish(whole, to: target, durable: true, progress: progress)
    }
  }

  private func incomplete(_ file: KeptFile) -> DFSError {
    DFSError(
      .incomplete,
      "\(file.missingBytes) of \(file.size) bytes were to come from the version before, which the file has "
        + "no more: what was written is in \(dataPath(of: file)), with zeros for what is missing; copy it "
        + "from there, then: recover \(file.id) --drop")
  }

  /// The directory, or the root if it is gone.
  private func directory(_ id: InodeID, on service: any FileService) async throws -> InodeID {
    let inode = try await existing { try await service.inode(id, .current) }
    return inode?.kind == .directory ? id : .root
  }

  private func existing(_ find: () async throws -> Inode) async throws -> Inode? {
    do {
      return try await find()
    } catch let error as DFSError where error.code == .notFound || error.code == .staleHandle {
      return nil
    }
  }
}
