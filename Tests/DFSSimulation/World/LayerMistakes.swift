internal import DFSClient
internal import DFSCore
internal import DFSReplication

/// Mistakes about layers, as far as they show in rows: servers take what a client that makes them would write.
struct LayerMistakes {
  private let mistake: Simulation.Mistake
  private unowned let world: World
  private let rows: [RowKey: Row]

  /// - Parameter rows: as they are before the change.
  init(_ mistake: Simulation.Mistake, world: World, before rows: [RowKey: Row]) {
    (self.mistake, self.world, self.rows) = (mistake, world, rows)
  }

  func mistaken(_ change: Change) -> Change {
    var writes = change.writes
    switch mistake {
    case .layerRowsStay:
      writes.removeAll { write in
        write.value == nil && inode(rows[write.key])?.kind == .layer
      }
    case .keptLayersShareRows: shareRows(OperationHistory.kept(by: change), &writes)
    case .settlingDropsNewerLayers, .stackTakenFromMount, .cutForgotten:
      for index in writes.indices {
        let write = writes[index]
        guard var new = inode(write), new.kind == .regular, let version = new.version,
          let old = inode(rows[write.key])?.version,
          let wrong = mistaken(version, insteadOf: old)
        else { continue }
        new.version = wrong
        writes[index] = new.row
      }
    default: return change
    }
    return Change(id: change.id, writes: writes)
  }

  /// Nil if it is right.
  private func mistaken(_ new: Version, insteadOf old: Version) -> Version? {
    switch mistake {
    case .settlingDropsNewerLayers:
      guard new.id == old.id, new.base?.id != old.base?.id, !new.layers.isEmpty else { return nil }
      return new.base.map(Version.init)
    case .stackTakenFromMount:
      guard new.id != old.id, let last = new.layers.last, let opened = opened(last),
        opened.id == old.id, opened.contents.map(\.id) != old.contents.map(\.id)
      else { return nil }
      return Version(id: new.id, base: opened.base, layers: opened.layers + [last])
    case .cutForgotten:
      guard new.id != old.id, let last = new.layers.last else { return nil }
      let uncut = Layer(
        inode: last.inode, content: last.content, cut: last.size, size: last.size,
        index: last.index)
      return Version(id: new.id, base: new.base, layers: new.layers.dropLast() + [uncut])
    default: return nil
    }
  }

  private func opened(_ layer: Layer) -> Version? {
    world.versions.author(of: layer).flatMap { world.notes.opened[$0]?.version }
  }

  /// What is kept beside a file has the rows of the file's layers.
  private func shareRows(_ kept: Set<InodeID>, _ writes: inout [RowWrite]) {
    let known = Dictionary(
      writes.flatMap { inode(rows[$0.key])?.version?.layers ?? [] }.map {
        ($0.content.id, $0.inode)
      }
    ) { one, _ in one }
    var gone: Set<InodeID> = []
    for index in writes.indices {
      guard case .inode(let id) = writes[index].key, kept.contains(id),
        var file = inode(writes[index]), let version = file.version
      else { continue }
      let layers = version.layers.map { layer in
        var shared = layer
        if let inode = known[layer.content.id] {
          gone.insert(layer.inode)
          shared.inode = inode
        }
        return shared
      }
      file.version = version.made(of: version.base, layers)
      writes[index] = file.row
    }
    writes.removeAll { if case .inode(let id) = $0.key { gone.contains(id) } else { false } }
  }

  private func inode(_ row: Row?) -> Inode? {
    guard let row, case .inode(let id) = row.key else { return nil }
    return try? Inode(id: id, row: row.value.bytes)
  }

  private func inode(_ write: RowWrite) -> Inode? {
    guard case .inode(let id) = write.key, let value = write.value else { return nil }
    return try? Inode(id: id, row: value.bytes)
  }
}

extension World {
  /// What a client that makes a mistake would ask a server with these rows for.
  func mistaken(_ request: NamespaceRequest, after number: UInt64, _ rows: [RowKey: Row])
    -> NamespaceRequest
  {
    guard let mistake, case .apply(let view, let next, let change) = request, next == number + 1
    else { return request }
    if mistake == .waiterForgotten { return .apply(view, number: next, change.withoutWaiting) }
    guard mistake.isAboutLayers else { return request }
    let mistakes = LayerMistakes(mistake, world: self, before: rows)
    return .apply(view, number: next, mistakes.mistaken(change))
  }

  /// Whether the row of a layer asks for a content.
  func isOfLayer(_ content: VersionID) -> Bool {
    servers.contains { server in
      server.disk.current.rows.contains { key, row in
        guard case .inode(let id) = key, row.value.version == content else { return false }
        return (try? Inode(id: id, row: row.value.bytes))?.kind == .layer
      }
    }
  }

  /// Whether a file of this version has layers: a content of this identity is the settled one.
  func isSettling(_ version: VersionID) -> Bool {
    servers.contains { server in
      server.disk.current.versions.contains { $1.id == version && !$1.layers.isEmpty }
    }
  }
}
