import DFSClient
import DFSCore
import Synchronization

/// One client of `MemoryFiles`.
final class MemoryClient: FileService {
  let files: MemoryFiles
  let invalidations: AsyncStream<Invalidation>
  private let heard: Shared
  var changes: UInt64? {
    files.state.withLock(\.hearsChanges) ? heard.changes.withLock { $0 } : nil
  }

  private final class Shared: Sendable {
    let changes = Mutex<UInt64>(0)
    /// What this client removed itself.
    let removed = Mutex<Set<InodeID>>([])
  }
  private let tell: AsyncStream<Invalidation>.Continuation

  init(_ files: MemoryFiles) {
    self.files = files
    (invalidations, tell) = AsyncStream.makeStream()
    heard = Shared()
    files.observe(self) { [tell, heard] keys in
      heard.changes.withLock { $0 += 1 }
      tell.yield(.rows(keys))
    }
  }

  private func change<Value: Sendable>(
    _ keys: [RowKey], _ body: (inout MemoryFiles.State) throws(DFSError) -> Value
  ) throws(DFSError) -> Value {
    let value = try files.state.withLock { state throws(DFSError) in try body(&state) }
    heard.changes.withLock { $0 += 1 }
    files.changed(keys, by: self)
    return value
  }

  /// The change is done; its answer is on its way.
  private func answering() async {
    let delay = files.state.withLock(\.answerDelay)
    if delay > .zero { try? await Task.sleep(for: delay) }
  }

  func inode(_ id: InodeID, _ freshness: Freshness) async throws -> Inode {
    try files.state.withLock { state throws(DFSError) in
      state.asked += 1
      return try state.inode(id)
    }
  }

  func lookup(_ parent: InodeID, _ name: FileName, _ freshness: Freshness) async throws -> Inode {
    try files.state.withLock { state throws(DFSError) in
      state.asked += 1
      // After the answer is made, before it is given.
      defer { state.overtake(parent, name) }
      return try state.lookup(parent, name)
    }
  }

  func list(_ directory: InodeID, _ freshness: Freshness) async throws -> [DirectoryItem] {
    try files.state.withLock { state throws(DFSError) in
      let entries = try state.directory(directory)
      return entries.keys.sorted().compactMap { name in
        entries[name].flatMap { state.inodes[$0] }.map { DirectoryItem(name: name, inode: $0) }
      }
    }
  }

  func create(_ parent: InodeID, _ name: FileName, _ new: NewInode) async throws -> Inode {
    try change([.entry(parent: parent, name: name)]) { state throws(DFSError) in
      try state.create(parent, name, new)
    }
  }

  func unlink(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try change([.entry(parent: parent, name: name)]) { state throws(DFSError) in
      let inode = try state.lookup(parent, name)
      guard inode.kind != .directory else { throw DFSError(.isDirectory, "a directory") }
      state.drop(parent, name, inode)
      heard.removed.withLock { if inode.links <= 1 { _ = $0.insert(inode.id) } }
      return inode
    }
  }

  func discard(_ parent: InodeID, _ name: FileName, _ inode: InodeID) async throws {
    let found = try await lookup(parent, name, .current)
    if found.id == inode, found.version == nil { _ = try await unlink(parent, name) }
  }

  func removeDirectory(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try change([.entry(parent: parent, name: name)]) { state throws(DFSError) in
      let inode = try state.lookup(parent, name)
      guard try state.directory(inode.id).isEmpty else { throw DFSError(.notEmpty, "not empty") }
      state.drop(parent, name, inode)
      return inode
    }
  }

  func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    _ mode: RenameMode
  ) async throws -> Renamed {
    let keys = [RowKey.entry(parent: parent, name: name), .entry(parent: newParent, name: newName)]
    let renamed = try change(keys) { state throws(DFSError) in
      let inode = try state.lookup(parent, name)
      let old = try? state.lookup(newParent, newName)
      if let old, old.id == inode.id { return Renamed(moved: inode, other: old) }
      if mode == .exchange {
        guard let old else { throw DFSError(.notFound, "nothing to exchange with") }
        state.entries[parent]?[name] = old.id
      } else {
        if let old {
          guard mode == .replace else { throw DFSError(.exists, "'\(newName)' exists") }
          let isFull = (try? state.directory(old.id))?.isEmpty == false
          guard !isFull else { throw DFSError(.notEmpty, "not empty") }
          state.drop(newParent, newName, old)
          heard.removed.withLock { if old.links <= 1 { _ = $0.insert(old.id) } }
        }
        state.entries[parent]?[name] = nil
      }
      state.entries[newParent]?[newName] = inode.id
      if inode.kind == .directory {
        state.inodes[inode.id]?.parent = newParent
        state.inodes[parent]?.links -= 1
        state.inodes[newParent]?.links += 1
      }
      state.touch(parent)
      state.touch(newParent)
      return Renamed(moved: inode, other: old)
    }
    await answering()
    return renamed
  }

  func link(_ inode: InodeID, to parent: InodeID, _ name: FileName) async throws -> Inode {
    try change([.entry(parent: parent, name: name), .inode(inode)]) { state throws(DFSError) in
      guard try state.directory(parent)[name] == nil else { throw DFSError(.exists, "exists") }
      _ = try state.inode(inode)
      state.entries[parent]?[name] = inode
      state.inodes[inode]?.links += 1
      return try state.inode(inode)
    }
  }

  func reserveInode() async throws -> InodeID {
    files.state.withLock { state in
      defer { state.nextID += 1 }
      return InodeID(state.nextID)
    }
  }

  func setAttributes(_ inode: InodeID, _ attributes: AttributeChange) async throws -> Inode {
    let changed = try change([.inode(inode)]) { state throws(DFSError) in
      var changed = try state.inode(inode)
      state.attributeChanges += 1
      if let before = attributes.accessedBefore {
        if changed.accessed == before { changed.accessed = attributes.accessed ?? before }
        state.inodes[inode] = changed
        return changed
      }
      changed.mode = attributes.mode ?? changed.mode
      changed.owner = attributes.owner ?? changed.owner
      changed.group = attributes.group ?? changed.group
      changed.accessed = attributes.accessed ?? changed.accessed
      changed.modified = attributes.modified ?? changed.modified
      changed.changed = attributes.asked ?? state.time()
      state.inodes[inode] = changed
      return changed
    }
    await answering()
    return changed
  }

  func extendedAttributes(_ inode: InodeID) async throws -> [AttributeName: [UInt8]] {
    try files.state.withLock { state throws(DFSError) in
      _ = try state.inode(inode)
      return state.attributes[inode] ?? [:]
    }
  }

  func setExtendedAttribute(
    _ inode: InodeID, _ name: AttributeName, _ value: [UInt8], _ mode: AttributeSetMode
  ) async throws {
    try change([.attribute(inode, name: name)]) { state throws(DFSError) in
      _ = try state.inode(inode)
      let old = state.attributes[inode]?[name]
      if mode == .create, old != nil { throw DFSError(.exists, "the attribute exists") }
      if mode == .replace, old == nil { throw DFSError(.noAttribute, "no such attribute") }
      state.attributes[inode, default: [:]][name] = value
    }
  }

  func removeExtendedAttribute(_ inode: InodeID, _ name: AttributeName) async throws {
    try change([.attribute(inode, name: name)]) { state throws(DFSError) in
      _ = try state.inode(inode)
      guard state.attributes[inode]?.removeValue(forKey: name) != nil else {
        throw DFSError(.noAttribute, "no such attribute")
      }
    }
  }

  func publish(
    _ content: any ContentSource, as form: PublishForm, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published {
    let (refusal, delay) = files.state.withLock { ($0.refusal, $0.publishDelay) }
    if delay > .zero { try await Task.sleep(for: delay) }
    if let refusal { throw refusal }
    var bytes = [UInt8](repeating: 0, count: Int(content.size))
    let ready = try await content.ready(for: 0..<content.size)
    try bytes.withUnsafeMutableBytes { try ready.read(into: $0, at: 0) }
    if let given = content.md5, given != .of(bytes) { throw DFSError(.damaged, "the MD5 is wrong") }
    let moved = appended(bytes, form, target)
    let stored = try moved ?? whole(bytes, as: form)
    let md5 = MD5Digest.of(stored)
    let (id, modified, changed): (InodeID, Timestamp, Timestamp)
    var attributes = AttributeChange.nothing
    switch target {
    case .inode(let inode, let time, let change, let given, let opened):
      attributes = given
      (id, modified, changed) = (try kept(inode, opened) ?? inode, time, change)
    case .nameless(let inode, let attributes, let time, let parent, let name):
      (id, modified, changed) = (inode.id, time, inode.changed)
      try change([.entry(parent: parent, name: name)]) { state throws(DFSError) in
        try state.name(inode, attributes, parent, name)
      }
    case .name: throw DFSError(.unsupported, "no mount publishes so")
    }
    let withContent = attributes
    let published = try change([.inode(id)]) { state throws(DFSError) in
      let version = Content(
        id: .random(), size: UInt64(stored.count), md5: md5, placement: Placement(md5: md5),
        partDigests: Array(repeating: BlockChecksum(0), count: 4))
      state.publishes += 1
      state.durablePublishes += durable ? 1 : 0
      var inode = try state.inode(id)
      let old = inode.version?.id
      inode.perform(withContent, at: inode.changed)
      inode.version = Version(version)
      inode.modified = modified
      inode.changed = max(inode.changed, changed)
      state.inodes[id] = inode
      state.contents[version.id] = stored
      state.collect(old)
      return inode
    }
    await answering()
    return Published(published, isMoved: moved != nil)
  }

  /// All bytes of a file to which others did something since it was opened, if what is published was appended.
  private func appended(
    _ bytes: [UInt8], _ form: PublishForm, _ target: PublishTarget
  ) -> [UInt8]? {
    guard case .whole(let start?) = form, case .inode(let id, _, _, _, let opened?) = target else {
      return nil
    }
    return files.state.withLock { state in
      guard let current = state.inodes[id]?.version, current.id != opened.version else {
        return nil
      }
      return (state.contents[current.id] ?? []) + bytes[Int(start)...]
    }
  }

  /// All bytes of a file of which some are published over others.
  private func whole(_ bytes: [UInt8], as form: PublishForm) throws(DFSError) -> [UInt8] {
    guard case .layer(let patch) = form else { return bytes }
    var whole: [UInt8] = []
    if let below = patch.below {
      guard let content = files.state.withLock({ $0.contents[below.id] }) else {
        throw DFSError(.incomplete, "the content below is gone")
      }
      whole = content
    }
    files.set { $0.layers += 1 }
    whole.removeLast(whole.count - min(whole.count, Int(patch.cut)))
    whole += repeatElement(0, count: Int(patch.size) - whole.count)
    var next = 0
    for extent in patch.extents {
      let range = Int(extent.range.lowerBound)..<Int(extent.range.upperBound)
      let count = extent.isZeros ? 0 : range.count
      let new =
        extent.isZeros ? [UInt8](repeating: 0, count: range.count)[...] : bytes[next..<next + count]
      whole.replaceSubrange(range, with: new)
      next += count
    }
    guard next == bytes.count else { throw DFSError(.damaged, "a layer of other bytes") }
    return whole
  }

  /// The file beside it that is made for the content of one which another client removed.
  private func kept(_ id: InodeID, _ opened: OpenedVersion?) throws(DFSError) -> InodeID? {
    let isOwn = heard.removed.withLock { $0.contains(id) }
    guard let opened, let attributes = opened.attributes, !isOwn else { return nil }
    return try files.state.withLock { state throws(DFSError) in
      guard state.inodes[id] == nil else { return nil }
      let parent = state.inodes[opened.parent] == nil ? .root : opened.parent
      for number in 1... {
        let name = try opened.name.appending(" (conflict \(number))")
        if state.entries[parent]?[name] == nil {
          return try state.create(parent, name, attributes).id
        }
      }
      return nil
    }
  }

  func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    let delay = files.state.withLock { $0.readDelay }
    if delay > .zero {
      files.set { $0.waitingReads += 1 }
      defer { files.set { $0.waitingReads -= 1 } }
      try await Task.sleep(for: delay)
    }
    return try files.state.withLock { state throws(DFSError) in
      if let refusal = state.readRefusal { throw refusal }
      guard let content = state.contents[version.id] else {
        throw DFSError(.incomplete, "the content is gone")
      }
      let start = min(Int(range.lowerBound), content.count)
      let end = min(Int(range.upperBound), content.count, start + 1 << 20)
      state.reads += 1
      state.bytesRead += end - start
      return Array(content[start..<end])
    }
  }

  func untilPinned() async {}

  func share(
    _ version: Version, of source: InodeID, to target: PublishTarget, durable: Bool
  ) async throws -> Inode {
    guard let bytes = files.state.withLock({ $0.contents[version.id] }) else {
      throw DFSError(.incomplete, "the content is gone")
    }
    files.set { $0.shares += 1 }
    return try await publish(
      BytesContent(bytes), to: target, durable: durable, progress: nil)
  }

  func sync(_ version: Version) async throws {
    let (refusal, delay) = files.state.withLock { ($0.refusal, $0.publishDelay) }
    if delay > .zero { try await Task.sleep(for: delay) }
    if let refusal { throw refusal }
    try files.state.withLock { state throws(DFSError) in
      state.syncs += 1
      guard state.failingSyncs > 0 else { return }
      state.failingSyncs -= 1
      throw DFSError(.inputOutput, "it cannot be synced")
    }
  }

  func map(of version: Version) async throws -> VersionMap { VersionMap(base: version.size) }

  func pin(_ version: Version) {
    files.state.withLock { $0.holds[version.id, default: 0] += 1 }
  }

  func unpin(_ version: Version) {
    let version = version.id
    files.state.withLock { state in
      state.holds[version, default: 1] -= 1
      if state.holds[version] == 0 { state.holds[version] = nil }
      let isNamed = state.inodes.values.contains { $0.version?.id == version }
      if !isNamed { state.collect(version) }
    }
  }

  /// Tells only of what is on no server.
  func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement] {
    let gone = files.state.withLock { state in versions.filter { state.contents[$0] == nil } }
    let nowhere = Placement(holders: Array(repeating: [], count: 4))
    return Dictionary(uniqueKeysWithValues: gone.map { ($0, nowhere) })
  }

  func space() async throws -> SpaceReport {
    SpaceReport(
      total: 100 << 30, available: 60 << 30, used: 40 << 30,
      inodes: files.state.withLock { UInt64($0.inodes.count) })
  }

  // MARK: Servers, of which there are none

  func forget(_ id: InodeID) {}
  func expectReading(_ id: InodeID) -> Freshness { .current }
  var namespaceID: NamespaceID? { nil }
  func serverStates() async -> [ServerState] { files.state.withLock { $0.states } }
  func reconnect(within patience: Duration) async {}
}
