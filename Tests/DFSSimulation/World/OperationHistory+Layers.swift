internal import DFSClient
internal import DFSCore

/// Whether versions are what was written: each the cells of who published it over those of the version that it was
/// opened with, whatever it is made of.
extension OperationHistory {
  // MARK: When it is told

  /// What was published as a layer is that over what was opened.
  func judgePatched(_ token: UInt64, _ inode: Inode) {
    guard let version = inode.version else { return }
    do {
      guard let expected = expected(token), let vector = try vector(of: version) else { return }
      guard vector == expected else {
        throw Problem(
          text:
            "it was told that version \(version.brief) is \(vector.cells), not \(expected.cells)")
      }
    } catch {
      world.fail("operation \(token): \((error as? Problem)?.text ?? "\(error)")")
    }
  }

  /// What was read is what the row says.
  func judgeBytes(_ token: UInt64, _ inode: Inode, _ read: CellVector) {
    guard let version = inode.version else { return }
    do {
      guard let vector = try vector(of: version) else {
        throw Problem(text: "version \(version.brief) was read, and nobody stored it")
      }
      guard vector == read else {
        throw Problem(text: "version \(version.brief) is \(vector.cells) and came as \(read.cells)")
      }
    } catch {
      world.fail("operation \(token): \((error as? Problem)?.text ?? "\(error)")")
    }
  }

  private func vector(of version: Version) throws -> CellVector? {
    switch world.versions.of(version) {
    case .vector(let vector): vector
    case .unknown: nil
    case .wrong(let problem): throw Problem(text: problem)
    }
  }

  /// What a patch makes of what was opened.
  private func expected(_ token: UInt64) -> CellVector? {
    if case .publish(_, let isLarge, _) = entries[Int(token) - 1].kind {
      return CellVector(isLarge: isLarge, cells: [UInt64](repeating: token, count: 4))
    }
    guard let opened = world.notes.opened[token] else { return nil }
    let below = world.versions.vector(of: opened.version)
    guard opened.version == nil || below != nil else { return nil }
    return CellPatch(token, over: opened.version?.size).applied(to: below)
  }

  // MARK: In the order of changes

  func judgeLayers(_ archive: [Change], _ replay: Replay) throws {
    var vectors: [VersionID: CellVector] = [:]
    var authors: [VersionID: UInt64] = [:]
    let told = toldVersions
    for (index, change) in archive.enumerated() {
      let number = UInt64(index + 1)
      do {
        try judgeRows(of: change, number, replay)
        let kept = Self.kept(by: change)
        for write in change.writes {
          guard case .inode(let id) = write.key, let inode = replay.inode(id, at: number),
            inode.kind == .regular, let version = inode.version
          else { continue }
          guard let vector = try vector(of: version) else {
            throw Problem(text: "version \(version.brief) is made of what nobody stored")
          }
          if let known = vectors[version.id] {
            guard vector == known else {
              throw Problem(
                text: "version \(version.brief) was \(known.cells), and is \(vector.cells)")
            }
          } else {
            authors[version.id] = try judgeNew(version, vector, by: change.id.client)
            vectors[version.id] = vector
          }
          let before = replay.inode(id, at: number - 1)?.version
          if before?.id == version.id, before?.contents.map(\.id) != version.contents.map(\.id) {
            world.counts.merges += 1
          }
          guard !kept.contains(id), let before, before.id != version.id else { continue }
          try judgeKept(before, by: authors[version.id], change, kept, number, replay, told)
        }
      } catch let problem as Problem {
        throw Problem(
          text: "change \(number), of client \(change.id.client.value): \(problem.text)")
      }
    }
  }

  /// The versions whose publishers were told that they are there.
  private var toldVersions: Set<VersionID> {
    Set(
      entries.compactMap { entry in
        switch entry.outcome {
        case .published(_, let content): content.version
        case .patched(let inode): inode.version?.id
        default: nil
        }
      })
  }

  /// A version that was not there before was written by an operation of who made the change.
  /// - Returns: its token.
  private func judgeNew(
    _ version: Version, _ vector: CellVector, by client: ClientID
  ) throws -> UInt64 {
    let tokens = authors(of: version, vector)
    let token = try tokens.first { token in
      let entry = try entry(token, "version \(version.brief)")
      return entry.kind.isPublish && entry.client == client && entry.mayHaveHappened
        && expected(token) == vector
    }
    guard let token else {
      let possible = tokens.map { "\($0): \(expected($0)?.cells.description ?? "")" }
      throw Problem(text: "version \(version.brief) is \(vector.cells), not one of \(possible)")
    }
    return token
  }

  /// The tokens of who may have written a version that was not there before.
  private func authors(of version: Version, _ vector: CellVector) -> [UInt64] {
    let author = version.layers.last.flatMap(world.versions.author)
    if let author, !world.versions.isPacked(version) { return [author] }
    // Of what was published with all that is below it any cell may be the new one.
    return Set(vector.cells).subtracting([0]).sorted()
  }

  /// What others wrote since a file was opened is kept beside it, if that was asked for.
  private func judgeKept(
    _ before: Version, by token: UInt64?, _ change: Change, _ kept: Set<InodeID>,
    _ number: UInt64, _ replay: Replay, _ told: Set<VersionID>
  ) throws {
    guard let token, let opened = world.notes.opened[token], opened.keepsOthers,
      opened.version?.id != before.id
    else { return }
    // Of what a client does not know whether it published it, nothing is kept.
    let isOwn = replay.publications[before.id]?.client == change.id.client
    if isOwn, !told.contains(before.id) { return }
    let isKept = kept.contains { replay.inode($0, at: number)?.version?.id == before.id }
    guard isKept else {
      throw Problem(
        text: "version \(before.brief) was replaced by operation \(token), which had not seen it")
    }
  }

  /// Each layer of a file has its row, each such row is of a file that lists it, and the list of what is not settled
  /// says so.
  private func judgeRows(of change: Change, _ number: UInt64, _ replay: Replay) throws {
    for write in change.writes {
      switch write.key {
      case .inode(let id):
        let inode = replay.inode(id, at: number)
        if let inode, inode.kind == .layer {
          let file = replay.inode(inode.parent, at: number)
          guard file?.version?.layers.contains(where: { $0.inode == id }) ?? false else {
            throw Problem(text: "layer \(id) is of no file that lists it")
          }
        } else {
          try judgeFile(id, inode, number, replay)
        }
      case .entry(.listOfUnsettled, let name):
        guard let child = write.value?.child else { continue }
        guard name == child.nameOfUnsettled,
          replay.inode(child, at: number)?.version?.isSettled == false
        else { throw Problem(text: "inode \(child) is listed as not settled, and is") }
      default: continue
      }
    }
  }

  private func judgeFile(
    _ id: InodeID, _ inode: Inode?, _ number: UInt64, _ replay: Replay
  ) throws {
    let layers = inode?.version?.layers ?? []
    for layer in layers {
      let row = replay.inode(layer.inode, at: number)
      guard row?.kind == .layer, row?.parent == id, row?.version?.content == layer.content else {
        throw Problem(text: "layer \(layer.inode) of inode \(id) has not the row that it needs")
      }
    }
    let gone = Set(replay.inode(id, at: number - 1)?.version?.layers.map(\.inode) ?? [])
      .subtracting(layers.map(\.inode))
    if let layer = gone.sorted().first(where: { replay.row(.inode($0), at: number) != nil }) {
      throw Problem(text: "layer \(layer) is not inode \(id)'s any more, and has a row")
    }
    let isListed =
      replay.row(.entry(parent: .listOfUnsettled, name: id.nameOfUnsettled), at: number) != nil
    guard isListed == (inode?.version?.isSettled == false) else {
      throw Problem(
        text: "inode \(id) is \(isListed ? "" : "not ")listed as not settled: "
          + "\(inode?.version?.brief ?? "it is gone")")
    }
  }
}

extension InodeID {
  /// The files that are not settled are its entries; it is no directory.
  static let listOfUnsettled = InodeID(0)

  /// Its name in that list: 16 hexadecimal digits.
  fileprivate var nameOfUnsettled: FileName {
    guard let name = try? FileName(value.bigEndianBytes.hexadecimal) else {
      preconditionFailure("it is a name")
    }
    return name
  }
}
