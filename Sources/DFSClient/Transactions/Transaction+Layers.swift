internal import DFSCore

/// The content of a file that a change names.
enum NewVersion: Sendable {
  /// - Parameter isAppended: not if the file has another version than the one that it was written to.
  case whole(Content, isAppended: Bool = false)
  /// Laid over what the file has.
  case layer(NewLayer)
  /// That of another file.
  case shared(Version)

  /// The identity that the file's version gets.
  var id: VersionID {
    switch self {
    case .whole(let content, _): content.id
    case .layer(let layer): layer.id
    case .shared(let version): version.id
    }
  }

  /// The MD5 of all bytes, if it is known.
  var md5: MD5Digest? {
    switch self {
    case .whole(let content, _): content.md5
    case .layer: nil
    case .shared(let version): version.md5
    }
  }
}

/// A layer that is stored, and about to be named.
struct NewLayer: Sendable {
  /// The identity that the file's version gets.
  let id: VersionID
  let content: Content
  let patch: Patch
  let index: Layer.Index

  func layer(_ inode: InodeID) -> Layer {
    Layer(inode: inode, content: content, cut: patch.cut, size: patch.size, index: index)
  }

  /// The same over another version, of which all bytes stay that were not written.
  fileprivate func merged(over size: UInt64) -> NewLayer {
    NewLayer(
      id: id, content: content,
      patch: Patch(
        over: nil, patch.extents, cut: size, size: max(size, patch.size), isMerged: true),
      index: index)
  }

  /// The same behind the end of another version.
  fileprivate func appended(_ extents: [LayerExtent], to size: UInt64) -> NewLayer {
    let moved = extents.map { extent in
      let start = size + extent.range.lowerBound - patch.cut
      return LayerExtent(start..<start + UInt64(extent.range.count), isZeros: extent.isZeros)
    }
    let end = size + patch.size - patch.cut
    return NewLayer(
      id: id, content: content,
      patch: Patch(over: nil, moved, cut: size, size: end, isAppended: true), index: .row(moved))
  }
}

/// What a file becomes by what is published to it.
struct Publication: Sendable {
  let version: Version
  /// It has all that the file had: nothing of that is to be kept beside it.
  let goesOn: Bool
  /// What was written lies elsewhere than where it was written, behind what others appended.
  var isMoved = false
}

/// What is published was made from a version of which the file does not have all any more.
struct OtherVersionBelow: Error {}

/// Versions with layers.
///
/// Invariants, of every committed state:
/// - Each layer of a file has a row of its own, of which the file is the parent; no other file lists it.
/// - The files that are not settled are the entries of directory 0 (which there is not).
extension Transaction {
  /// Writes the rows of layers that are new, or elsewhere now, and deletes those of layers that are gone.
  mutating func putLayers(of inode: Inode, insteadOf old: Inode?) {
    let (layers, before) = (inode.version?.layers ?? [], old?.version?.layers ?? [])
    if !layers.isEmpty || !before.isEmpty {
      let known = Dictionary(before.map { ($0.inode, $0.content) }) { $1 }
      for layer in layers where known[layer.inode] != layer.content {
        putLayer(layer.inode, layer.row(of: inode))
      }
      let listed = Set(layers.map(\.inode))
      for layer in before where !listed.contains(layer.inode) { putLayer(layer.inode, nil) }
    }
    let isUnsettled = inode.version?.isSettled == false
    guard isUnsettled != (old?.version?.isSettled == false) else { return }
    putEntry(.unsettled, inode.id.unsettledName, isUnsettled ? inode.id : nil)
  }

  /// What a file has once `new` is published to it.
  /// - Parameters:
  ///   - current: what it has.
  ///   - opened: what it had when it was opened, if that matters.
  /// - Throws: `OtherVersionBelow` if that is another version than it was made from, and must not be.
  mutating func publication(
    of new: NewVersion, over current: Version?, opened: OpenedVersion?, own: Set<VersionID>
  ) throws -> Publication {
    let isOwn = current.map { own.contains($0.id) } ?? false
    switch new {
    case .whole(let content, let isAppended):
      let isOther = opened.map { $0.version != current?.id } ?? false
      if isAppended, isOther, !isOwn { throw OtherVersionBelow() }
      return Publication(version: Version(content), goesOn: isOwn)
    case .layer(let layer):
      return try publication(of: layer, over: current, isOwn: isOwn, own)
    case .shared(let shared):
      let version = shared.made(of: shared.base, withOwnRows(shared.layers))
      return Publication(version: version, goesOn: isOwn)
    }
  }

  /// Also over what an earlier try of this client may have left it does not lie: that has other bytes than who
  /// wrote this has seen.
  /// - Parameter isOwn: `current` was published by this client, which was not told so: it is not kept.
  private mutating func publication(
    of layer: NewLayer, over current: Version?, isOwn: Bool, _ own: Set<VersionID>
  ) throws -> Publication {
    if current?.id == layer.patch.below?.id {
      guard current != nil || layer.patch.cut == 0 else { throw OtherVersionBelow() }
      let version = try append(layer, to: current?.base, current?.layers ?? [])
      return Publication(version: version, goesOn: true)
    }
    // What an earlier try appended, perhaps elsewhere, must not be appended twice.
    let isThere = isOwn || current?.contents.contains { own.contains($0.id) } ?? false
    if layer.patch.isAppended, !isThere, let current, case .row(let extents) = layer.index {
      let moved = layer.appended(extents, to: current.size)
      let version = try append(moved, to: current.base, current.layers)
      return Publication(version: version, goesOn: true, isMoved: true)
    }
    if layer.patch.isMerged, !isThere, let current,
      layer.patch.cut >= layer.patch.below?.size ?? 0
    {
      let merged = layer.merged(over: current.size)
      let version = try append(merged, to: current.base, current.layers)
      return Publication(version: version, goesOn: true, isMoved: true)
    }
    var below: Version?
    if let opened = layer.patch.below {
      guard let asked = opened.asked(for: current) else { throw OtherVersionBelow() }
      below = asked
    } else if layer.patch.cut > 0 {
      throw OtherVersionBelow()
    }
    let version = try append(layer, to: below?.base, withOwnRows(below?.layers ?? []))
    return Publication(version: version, goesOn: isOwn)
  }

  /// The version of a file, perhaps an older one, as another file gets it.
  /// - Parameter id: what it gets as its identity if it has layers: two files that are settled must not name, and
  ///   let go of, contents of one identity at different times.
  /// - Throws: `OtherVersionBelow` if the file does not have all its contents any more.
  mutating func shared(
    _ version: Version, of file: InodeID, as id: VersionID
  ) async throws -> NewVersion {
    guard let shared = version.asked(for: try await inode(file)?.version) else {
      throw OtherVersionBelow()
    }
    guard !shared.layers.isEmpty else { return .shared(shared) }
    return .shared(Version(id: id, base: shared.base, layers: shared.layers, md5: shared.md5))
  }

  private mutating func append(
    _ layer: NewLayer, to base: Content?, _ layers: [Layer]
  ) throws -> Version {
    guard layers.count < Version.layersLimit else {
      throw DFSError(
        .noSpace,
        "the file has \(layers.count) layers, the limit is \(Version.layersLimit): they could not be put "
          + "together in time; write it again when all servers are up, or run dfc settle")
    }
    return Version(id: layer.id, base: base, layers: layers + [layer.layer(newInode())])
  }

  /// The same layers for another file.
  mutating func withOwnRows(_ layers: [Layer]) -> [Layer] {
    layers.map { layer in
      var copy = layer
      copy.inode = newInode()
      return copy
    }
  }

  // MARK: Merging and settling

  /// The inode whose row, written by this change, asks for a content.
  func keeper(of content: Content) -> InodeID? {
    for write in writes where write.value?.content?.version == content.id {
      if case .inode(let id) = write.key { return id }
    }
    return nil
  }

  /// Puts one layer in the place of several that are next to each other, if the file still has these.
  /// - Returns: whether it has.
  mutating func merge(
    _ run: [Layer], of id: InodeID, into layer: NewLayer
  ) async throws -> Bool {
    guard var inode = try await inode(id), let version = inode.version,
      let start = version.layers.firstIndex(where: { $0.inode == run.first?.inode }),
      version.layers[start...].prefix(run.count).areSame(as: run)
    else { return false }
    var layers = version.layers
    layers.replaceSubrange(start..<start + run.count, with: [layer.layer(newInode())])
    inode.version = version.made(of: version.base, layers)
    put(inode)
    return true
  }

  /// Puts one content in the place of all that `settled` is made of, if the file still has these, under layers that
  /// are newer.
  /// - Returns: whether it has.
  mutating func settle(_ settled: Version, of id: InodeID, as form: SettledForm) async throws
    -> Bool
  {
    guard var inode = try await inode(id), let version = inode.version,
      version.begins(with: settled)
    else { return false }
    let rest = Array(version.layers.dropFirst(settled.layers.count))
    switch form {
    case .whole(let content): inode.version = version.made(of: content, rest)
    case .sparse(let layer, let md5):
      let layers = [layer.layer(newInode())] + rest
      inode.version = Version(
        id: version.id, base: nil, layers: layers, md5: rest.isEmpty ? md5 : nil)
    }
    put(inode)
    return true
  }
}

/// What a settled version is made of.
enum SettledForm: Sendable {
  /// One content, whose identity is the version's.
  case whole(Content)
  /// The bytes of a file with large holes, which take no space.
  /// The MD5 of the whole is nil where that is not computed.
  case sparse(NewLayer, MD5Digest?)
}

extension InodeID {
  /// The directory whose entries are the files that are not settled; it is none.
  static let unsettled = InodeID(0)

  /// The name of a file in the list of those that are not settled.
  var unsettledName: FileName {
    let digits = String(value, radix: 16)
    let text = String(repeating: "0", count: 16 - digits.count) + digits
    guard let name = try? FileName(text) else { preconditionFailure("it is a name") }
    return name
  }
}

extension Version {
  /// The same with its copies where they are now, if a version that some row names has all its contents. What every
  /// row has let go of is never asked for again: a server that was away may just be removing its copy.
  fileprivate func asked(for current: Version?) -> Version? {
    let there = Dictionary((current?.contents ?? []).map { ($0.id, $0) }) { $1 }
    guard contents.allSatisfy({ there[$0.id] != nil }) else { return nil }
    var version = self
    version.base = base.flatMap { there[$0.id] }
    for index in layers.indices {
      version.layers[index].content = there[layers[index].content.id] ?? layers[index].content
    }
    return version
  }

  /// Whether it is another one, perhaps under newer layers.
  func begins(with other: Version) -> Bool {
    base?.id == other.base?.id
      && layers.prefix(other.layers.count).areSame(as: other.layers)
  }
}

extension Collection where Element == Layer {
  /// Whether they are the same, wherever their copies are. Their inodes alone do not tell: after servers have lost
  /// changes with their power, others get the same numbers.
  fileprivate func areSame(as other: [Layer]) -> Bool {
    map(\.inode) == other.map(\.inode) && map(\.content.id) == other.map(\.content.id)
  }
}

extension Layer {
  /// The inode without a name that keeps the content.
  fileprivate func row(of file: Inode) -> Inode {
    Inode(
      id: inode, kind: .layer, mode: 0, owner: file.owner, group: file.group, links: 0,
      time: file.changed, parent: file.id, version: Version(content))
  }
}
