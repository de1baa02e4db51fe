import DFSClient
import DFSCommandLine
import DFSConfiguration
import DFSCore
import DFSSystem
import Glibc

/// Local files and trees on their way to the servers.
struct Upload: Sendable {
  /// Files under way at once: the small ones wait for the servers' disks, not for each other.
  private static let width = 4

  let session: Session
  let service: any FileService
  let results: ResultOptions
  let meter: Meter
  let outcome: Outcome

  init(session: Session, service: any FileService, results: ResultOptions, isSingle: Bool) {
    self.session = session
    self.service = service
    self.results = results
    meter = results.meter(session, isSingle: isSingle, verb: "storing")
    outcome = Outcome(of: "put", in: session, isJSON: results.isJSON(session))
  }

  /// Stores what is at `paths` in a directory, each under its own last name.
  func put(
    _ paths: [LocalPath], into parent: InodeID, at directory: RemotePath, recursively: Bool
  ) async throws {
    // Directories one after the other, what is in them together: the width stays what it is.
    let isTree = { (path: LocalPath) in
      recursively && (try? path.status(following: false))?.isDirectory == true
    }
    try await inOrder(paths.lazy.filter { !isTree($0) }, width: Self.width) { path in
      try await outcome.of(path.text) {
        try await putOne(path, into: parent, at: directory, keepingLinks: recursively)
      }
    } take: { _ in
    }
    for path in paths where isTree(path) {
      try await outcome.of(path.text) {
        try await putTree(path, as: try path.baseName(), in: parent, at: directory)
      }
    }
  }

  private func putOne(
    _ path: LocalPath, into parent: InodeID, at directory: RemotePath, keepingLinks: Bool
  ) async throws {
    let name = try path.baseName()
    if keepingLinks, try path.status(following: false)?.kind == S_IFLNK {
      return try await putLink(path, as: name, in: parent)
    }
    let source = try await offload { try FileSource(path) }
    try await store(source, mode: source.mode, as: name, in: parent, at: directory)
  }

  // MARK: One file

  func store(
    _ source: FileSource, mode: UInt32, as name: FileName, in parent: InodeID,
    at directory: RemotePath
  ) async throws {
    let path = directory.appending(name)
    meter.expect(source.size, path)
    let hashed = try await hash(source)
    meter.begin("storing")
    let new = NewInode(kind: .regular, mode: mode, owner: getuid(), group: getgid())
    let inode = try await service.publish(
      hashed, to: .name(parent: parent, name, new), durable: true, progress: meter.absolute())
    meter.finishFile()
    try await tell(path, inode)
  }

  /// Refuses before anything is read what could not be stored anyway.
  static func requireServers(_ service: any ClusterStatus, _ configuration: ClientConfiguration)
    async throws
  {
    let needed = configuration.writes.serverCount
    if await service.serverStates().count(where: \.isUp) < needed {
      // The last one may be about to answer.
      await service.reconnect(within: .milliseconds(1500))
    }
    let states = await service.serverStates()
    let up = states.filter(\.isUp).count
    guard up < needed else { return }
    let problems = states.filter { !$0.isUp }.map { $0.problem?.message ?? "\($0.server) is down" }
    let need =
      configuration.writes == .all
      ? "all four are needed to write (Writes all; with 'Writes quorum' in the configuration three do)"
      : "three are needed to write (Writes quorum)"
    throw DFSError(
      .serversMissing,
      "\(up) of \(states.count) servers are up, \(need); nothing was stored. "
        + problems.joined(separator: "; "))
  }

  /// The MD5 says where the parts go, so it is computed first.
  private func hash(_ source: FileSource) async throws -> FileSource {
    guard source.md5 == nil else { return source }
    meter.begin("reading")
    let meter = meter
    return try await offload { try source.hashed { meter.advanceBeside($0) } }
  }

  private func tell(_ path: RemotePath, _ inode: Inode) async throws {
    guard results.isJSON(session) else {
      if !results.isQuiet(session) {
        session.note("\(path): \(Progress.size(inode.size)) stored")
      }
      return
    }
    var object = JSONObject()
    object["command"] = "put"
    object.set("name", path.bytes)
    object["size"] = inode.size
    object["md5"] = inode.version?.md5?.description
    try await session.console.write(object.line())
  }

  // MARK: Trees

  private func putTree(
    _ path: LocalPath, as name: FileName, in parent: InodeID, at directory: RemotePath
  ) async throws {
    let inode = try await makeDirectory(path, as: name, in: parent)
    let names = try await offload { try path.names() }
    try await put(
      names.map { path.appending($0) }, into: inode.id, at: directory.appending(name),
      recursively: true)
  }

  private func makeDirectory(_ path: LocalPath, as name: FileName, in parent: InodeID) async throws
    -> Inode
  {
    let mode = try path.status().map { $0.st_mode & 0o777 } ?? 0o755
    let new = NewInode(kind: .directory, mode: mode, owner: getuid(), group: getgid())
    do {
      return try await service.create(parent, name, new)
    } catch let error as DFSError where error.code == .exists {
      let inode = try await service.lookup(parent, name, .current)
      guard inode.kind == .directory else { throw error }
      return inode
    }
  }

  private func putLink(_ path: LocalPath, as name: FileName, in parent: InodeID) async throws {
    var new = NewInode(kind: .symlink, mode: 0o777, owner: getuid(), group: getgid())
    new.target = try path.linkTarget()
    do {
      _ = try await service.create(parent, name, new)
    } catch let error as DFSError where error.code == .exists {
      let inode = try await service.lookup(parent, name, .current)
      guard inode.kind == .symlink else { throw error }
      if inode.target == new.target { return }
      try await service.unlink(parent, name)
      _ = try await service.create(parent, name, new)
    }
  }
}

extension LocalPath {
  /// The names in a directory, in byte order.
  func names() throws(DFSError) -> [FileName] {
    guard let directory = opendir(cString) else { throw .system("cannot read \(self)") }
    defer { closedir(directory) }
    var names: [FileName] = []
    let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
    while let entry = readdir(directory) {
      // The record ends with its name, before the end of the declared type.
      let name = UnsafeRawPointer(entry) + offset
      let bytes = Array(
        UnsafeRawBufferPointer(
          start: name, count: strlen(name.assumingMemoryBound(to: CChar.self))))
      if bytes != Array(".".utf8), bytes != Array("..".utf8) { names.append(try FileName(bytes)) }
    }
    return names.sorted()
  }

  func linkTarget() throws(DFSError) -> [UInt8] {
    var buffer = [CChar](repeating: 0, count: Limits.symlinkBytes + 1)
    let count = readlink(cString, &buffer, buffer.count)
    guard count >= 0 else { throw .system("cannot read the link \(self)") }
    return buffer.prefix(count).map(UInt8.init(bitPattern:))
  }
}
