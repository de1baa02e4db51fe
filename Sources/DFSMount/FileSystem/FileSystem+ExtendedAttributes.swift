internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization

/// Extended attributes: those that are kept with an inode, and those that the mount answers itself.
extension FileSystem {
  /// - Parameter limit: bytes that the caller takes; 0 asks for the length only.
  func extendedAttribute(
    of id: InodeID, _ name: [UInt8], limit: Int, _ caller: Caller
  ) async throws -> Reply {
    if let answer = try await Telling(name)?.answer(id, self) {
      return try Self.reply(Array(answer.utf8), limit: limit)
    }
    let name = try AttributeName(kept: name)
    guard name.isShown(to: caller), let value = try await attributes(of: id, caller)[name] else {
      if name.isCapability { files[id]?.state.withLock { $0.lacksCapability = true } }
      throw DFSError(.noAttribute, "inode \(id) has no attribute '\(name)'")
    }
    return try Self.reply(value, limit: limit)
  }

  func extendedAttributes(of id: InodeID, limit: Int, _ caller: Caller) async throws -> Reply {
    let names = try await attributes(of: id, caller).keys.filter { $0.isShown(to: caller) }.sorted()
    return try Self.reply(names.flatMap { $0.bytes + [0] }, limit: limit)
  }

  private static func reply(_ value: [UInt8], limit: Int) throws(DFSError) -> Reply {
    if limit == 0 { return .valueLength(value.count) }
    guard value.count <= limit else {
      throw DFSError(.outOfRange, "\(value.count) bytes do not fit in \(limit)")
    }
    return .value(value)
  }

  /// - Parameter flags: of setxattr(2).
  func setExtendedAttribute(
    of id: InodeID, _ name: [UInt8], _ value: [UInt8], flags: Int32, _ caller: Caller
  ) async throws -> Reply {
    let (name, mode) = (try AttributeName(settable: name), AttributeSetMode(flags: flags))
    if name.isCapability { files[id]?.state.withLock { $0.lacksCapability = false } }
    if let file = nameless(id) {
      try file.setAttribute(name, value, mode)
    } else {
      do {
        try await service.setExtendedAttribute(files[id]?.target ?? id, name, value, mode)
      } catch let error as DFSError where error.isAbsence {
        guard case .open(let file) = try remains(of: id, for: caller, error) else { return .done }
        try file.setAttribute(name, value, mode)
      }
    }
    return .done
  }

  func removeExtendedAttribute(
    of id: InodeID, _ name: [UInt8], _ caller: Caller
  ) async throws -> Reply {
    let name = try AttributeName(settable: name)
    if let file = nameless(id) {
      try file.setAttribute(name, nil, .replace)
    } else {
      do {
        try await service.removeExtendedAttribute(files[id]?.target ?? id, name)
      } catch let error as DFSError where error.isAbsence {
        guard case .open(let file) = try remains(of: id, for: caller, error) else { return .done }
        try file.setAttribute(name, nil, .replace)
      }
    }
    return .done
  }

  /// Before each write the kernel asks whether the file has a capability that the write must take away.
  /// - Throws: `noAttribute` if it is known here that there is none, so that nobody need be asked.
  func checkCapabilityNow(of id: InodeID, _ name: [UInt8]) throws(DFSError) {
    if name == AttributeName.capability, lacksCapability(id) { throw Self.noCapability }
  }

  private static let noCapability = DFSError(.noAttribute, "the open file has no capability")

  /// Whether the file is open here, and had no capability.
  func lacksCapability(_ id: InodeID) -> Bool {
    files[id]?.state.withLock { $0.lacksCapability } ?? false
  }

  /// Takes away the capability of a file that is open here, if it has one.
  func removeCapability(of id: InodeID, _ caller: Caller) async throws {
    guard !lacksCapability(id) else { return }
    if let name = try await attributes(of: id, caller).keys.first(where: \.isCapability) {
      _ = try await removeExtendedAttribute(of: id, name.bytes, caller)
    }
    files[id]?.state.withLock { $0.lacksCapability = true }
  }

  private func attributes(
    of id: InodeID, _ caller: Caller
  ) async throws -> [AttributeName: [UInt8]] {
    if let file = nameless(id) { return file.state.withLock { $0.attributes } }
    do {
      return try await service.extendedAttributes(files[id]?.target ?? id)
    } catch let error as DFSError where error.isAbsence {
      guard case .open(let file) = try remains(of: id, for: caller, error) else { return [:] }
      return file.state.withLock { $0.attributes }
    }
  }

  /// A file that is open and has no name: its attributes are here only.
  private func nameless(_ id: InodeID) -> OpenFile? {
    guard let file = files[id], file.isNameless else { return nil }
    return file
  }
}

extension OpenFile {
  /// - Parameter value: nil to remove it.
  fileprivate func setAttribute(
    _ name: AttributeName, _ value: [UInt8]?, _ mode: AttributeSetMode
  ) throws(DFSError) {
    try state.withLock { state throws(DFSError) in
      let isThere = state.attributes[name] != nil
      if mode == .create, isThere { throw DFSError(.exists, "attribute '\(name)' exists already") }
      if mode == .replace, !isThere {
        throw DFSError(.noAttribute, "there is no attribute '\(name)'")
      }
      if isThere, state.attributes[name] == value { return }
      state.attributes[name] = value
      state.inode.changed = .now
    }
  }
}

/// What the mount tells of a file in an attribute that is answered but not listed, so that nothing
/// copies it.
private enum Telling: String {
  /// The MD5 of the content that is published: 32 hexadecimal digits. Not told until it is settled.
  case md5 = "user.dfs.md5"
  /// Which servers should have each part: `1=DFS1,DFS4 2=DFS1,DFS2 …`; of layers only those of the base.
  case placement = "user.dfs.placement"
  /// `complete`, or `reduced` or `incomplete` and the parts that do not have two copies on servers
  /// that are up, with those they have: `reduced 2=DFS1`, `incomplete 2=DFS1 3=none`.
  case health = "user.dfs.health"
  /// `yes` if the content that is published is one, split and placed by its MD5; else `no`, how many layers were
  /// written over it, and their bytes: `no 3 12288`.
  case settled = "user.dfs.settled"
  /// Of the root: the process that serves the mount.
  case process = "user.dfs.process"

  init?(_ name: [UInt8]) { self.init(rawValue: String(decoding: name, as: UTF8.self)) }

  /// - Throws: `noAttribute` for what has no content.
  func answer(_ id: InodeID, _ files: FileSystem) async throws -> String {
    if self == .process {
      guard id == .root else { throw Self.absent }
      return "\(getpid())"
    }
    let known = files.files[id]?.state.withLock { $0.name == .named ? nil : $0.base }
    let version =
      if let known { known } else { try await files.service.inode(id, .pushed).version }
    guard let version else { throw Self.absent }
    switch self {
    case .md5:
      guard let md5 = version.md5 else { throw Self.absent }
      return md5.description
    case .placement:
      guard let content = version.contents.first else { throw Self.absent }
      return Self.list(PartIndex.all, content.placement)
    case .health:
      let contents = version.contents
      return Self.health(contents, try await files.service.copies(contents.map(\.id)))
    case .settled:
      guard !version.isSettled else { return "yes" }
      let bytes = version.layers.reduce(0) { $0 + $1.content.size }
      return "no \(version.layers.count) \(bytes)"
    case .process: throw Self.absent
    }
  }

  /// Each part has the holders that it has of all contents.
  private static func health(_ contents: [Content], _ found: [VersionID: Placement]) -> String {
    let holders = PartIndex.all.map { part in
      // A part without bytes needs no server.
      contents.filter { $0.split.length(of: part) > 0 }
        .reduce(ServerSet?.none) { servers, content in
          let these = found[content.id]?.holders(of: part) ?? []
          return servers?.fewest(these) ?? these
        } ?? .all
    }
    let reduced = PartIndex.all.filter { holders[$0.value].count < 2 }
    if reduced.isEmpty { return "complete" }
    let isIncomplete = reduced.contains { holders[$0.value].isEmpty }
    return (isIncomplete ? "incomplete " : "reduced ") + list(reduced, Placement(holders: holders))
  }

  private static func list(_ parts: [PartIndex], _ placement: Placement) -> String {
    parts.map { part in
      let servers = placement.holders(of: part).servers.map(\.description)
      return "\(part)=" + (servers.isEmpty ? "none" : servers.joined(separator: ","))
    }.joined(separator: " ")
  }

  private static let absent = DFSError(.noAttribute, "nothing is told of this inode")
}

extension ServerSet {
  /// The one with fewer servers.
  fileprivate func fewest(_ other: ServerSet) -> ServerSet { other.count < count ? other : self }
}

extension AttributeName {
  /// The name of an attribute that is kept. Lists of access (`system.posix_acl_…`) are not.
  fileprivate init(kept name: [UInt8]) throws(DFSError) {
    guard ["user.", "trusted.", "security."].contains(where: { name.starts(with: $0.utf8) }) else {
      throw DFSError(
        .unsupported, "only attributes in 'user.', 'trusted.' and 'security.' are kept")
    }
    try self.init(name)
  }

  /// The name of one that may be set.
  fileprivate init(settable name: [UInt8]) throws(DFSError) {
    guard !name.starts(with: "user.dfs.".utf8) else {
      throw DFSError(.notPermitted, "what begins with 'user.dfs.' is told by the mount, not set")
    }
    try self.init(kept: name)
  }

  fileprivate static let capability = Array("security.capability".utf8)

  fileprivate var isCapability: Bool { bytes == Self.capability }

  /// As on a local disk, `trusted.` is for the administrator (xattr(7)); the kernel sees to that for
  /// single attributes, but not in lists.
  fileprivate func isShown(to caller: Caller) -> Bool {
    caller.user == 0 || !bytes.starts(with: "trusted.".utf8)
  }
}

extension AttributeSetMode {
  /// From the flags of setxattr(2).
  fileprivate init(flags: Int32) {
    switch flags {
    case 1: self = .create
    case 2: self = .replace
    default: self = .set
    }
  }
}
