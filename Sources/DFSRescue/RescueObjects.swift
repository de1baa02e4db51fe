internal import CLinux
internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// Writes what is not a directory: files with their content, links, fifos, sockets and devices.
///
/// Invariants:
/// - A file whose content is not whole does not stay, unless such files are to be kept.
/// - An inode with several names is written once. It is linked from a directory of links that is
///   there only meanwhile, since the directory of its first name may be closed to us by then.
final class RescueObjects {
  private let namespace: OfflineNamespace
  private let shared: Set<InodeID>
  private let content: RescueContent
  private let rights: OutputRights
  private let ledger: RescueLedger
  private let progress: RescueProgress

  private struct Links {
    let root: OutputDirectory
    let name: FileName
    let directory: OutputDirectory
    var placed: Set<InodeID> = []
    /// What is wrong with inodes of several names, for the next name.
    var losses: [InodeID: RescueLoss] = [:]
  }
  private var links: Links?

  init(
    _ namespace: OfflineNamespace, shared: Set<InodeID>, content: RescueContent,
    _ rights: OutputRights, _ ledger: RescueLedger, _ progress: RescueProgress
  ) {
    self.namespace = namespace
    self.shared = shared
    self.content = content
    self.rights = rights
    self.ledger = ledger
    self.progress = progress
  }

  /// Whether the output as a whole cannot be written, or nobody wants it any more.
  static func endsAll(_ error: DFSError) -> Bool {
    [.noSpace, .quotaExceeded, .readOnly, .cancelled, .inputOutput].contains(error.code)
  }

  func begin(in root: OutputDirectory, hasShared: Bool) throws {
    guard hasShared else { return }
    let name = try FileName(".dfs-rescue-\(VersionID.random())")
    links = Links(root: root, name: name, directory: try root.makeDirectory(name))
  }

  func end() throws {
    guard let links else { return }
    for id in links.placed { try links.directory.remove(try FileName("\(id)")) }
    try links.root.removeDirectory(links.name)
    self.links = nil
  }

  // MARK: Placing

  func place(_ item: RescueItem, at path: [UInt8], in directory: OutputDirectory) throws {
    guard let inode = item.inode else {
      return ledger.lose(RescueLoss(path, because: "its row is missing or damaged"))
    }
    guard shared.contains(item.id) else {
      if let loss = try make(inode, item.name, at: path, in: directory) { ledger.lose(loss) }
      return
    }
    try placeShared(inode, item.name, at: path, in: directory)
  }

  private func placeShared(
    _ inode: Inode, _ name: FileName, at path: [UInt8], in directory: OutputDirectory
  ) throws {
    let number = try FileName("\(inode.id)")
    if let links, links.placed.contains(inode.id) {
      try directory.makeLink(name, to: number, in: links.directory)
      ledger.summary.hardLinks += 1
      if let loss = links.losses[inode.id] { ledger.lose(loss.at(path)) }
      return
    }
    if let loss = links?.losses[inode.id] { return ledger.lose(loss.at(path)) }
    let loss = try make(inode, name, at: path, in: directory)
    if let loss {
      ledger.lose(loss)
      links?.losses[inode.id] = loss
      guard loss.isPartlyWritten else { return }
    }
    guard let links else { return }
    do throws(DFSError) {
      try links.directory.makeLink(number, to: name, in: directory)
      self.links?.placed.insert(inode.id)
    } catch {
      if error.code == .noSpace { throw error }
      ledger.note("no hard links here (\(error)); each name becomes a file of its own")
    }
  }

  /// - Returns: what is not whole.
  private func make(
    _ inode: Inode, _ name: FileName, at path: [UInt8], in directory: OutputDirectory
  ) throws -> RescueLoss? {
    guard rights.mayMake(inode.kind) else {
      return RescueLoss(path, because: "a device; root makes it with --privileged")
    }
    switch inode.kind {
    case .regular: return try makeFile(inode, name, at: path, in: directory)
    case .symlink:
      try directory.makeSymlink(name, target: inode.target)
      ledger.summary.symlinks += 1
    case .fifo, .socket, .characterDevice, .blockDevice:
      try directory.makeNode(name, inode)
      ledger.summary.specials += 1
    case .directory: return RescueLoss(path, because: "a directory where there can be none")
    case .layer: return RescueLoss(path, because: "a layer of another file, which has no name")
    }
    ledger.summary.refusedAttributes += try namespace.attributes(of: inode.id).count
    try directory.setAttributes(name, inode, rights)
    return nil
  }

  // MARK: Files

  private func makeFile(
    _ inode: Inode, _ name: FileName, at path: [UInt8], in directory: OutputDirectory
  ) throws -> RescueLoss? {
    defer { progress.finishFile() }
    let file = try directory.makeFile(name)
    do {
      let loss = try write(inode, to: file, path)
      guard loss?.isPartlyWritten ?? true else {
        try directory.remove(name)
        return loss
      }
      try finish(file.descriptor, file.path, inode)
      if loss == nil {
        ledger.summary.files += 1
        ledger.summary.bytes += inode.size
      }
      return loss
    } catch {
      try? directory.remove(name)
      throw error
    }
  }

  private func write(_ inode: Inode, to file: File, _ path: [UInt8]) throws -> RescueLoss? {
    guard let version = inode.version else { return nil }
    let flaws = try content.write(version, to: file)
    return flaws.isEmpty
      ? nil : RescueLoss(path, flaws, isPartlyWritten: content.keepsPartial)
  }

  /// Gives a file or directory its attributes.
  func finish(_ descriptor: Int32, _ path: String, _ inode: Inode) throws {
    if rights.dropsBits(of: inode) { ledger.summary.droppedBits += 1 }
    try rights.apply(inode, to: descriptor, path: path) {
      for (name, value) in try namespace.attributes(of: inode.id) {
        let text = (name.bytes + [0]).map(CChar.init(bitPattern:))
        guard rights.maySet(name), fsetxattr(descriptor, text, value, value.count, 0) == 0 else {
          ledger.summary.refusedAttributes += 1
          continue
        }
      }
    }
  }
}
