internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// Writes the tree: directories from the root down, each left with its attributes once everything
/// below it is there, then what has no name.
///
/// Invariants:
/// - What cannot be rebuilt is listed and the rest goes on; only a disk that is full or cannot be
///   written ends it.
/// - The depth of the tree takes one descriptor a level and no stack.
final class RescueTree {
  private let namespace: OfflineNamespace
  private let census: RescueCensus
  private let ledger: RescueLedger
  private let progress: RescueProgress
  private let objects: RescueObjects
  private var stack: [RescueVisit] = []
  /// Directories that were entered and have several names, which no sound tree has.
  private var entered: Set<InodeID> = []

  init(
    _ namespace: OfflineNamespace, _ census: RescueCensus, content: RescueContent,
    _ rights: OutputRights, _ ledger: RescueLedger, _ progress: RescueProgress
  ) {
    self.namespace = namespace
    self.census = census
    self.ledger = ledger
    self.progress = progress
    objects = RescueObjects(
      namespace, shared: census.shared, content: content, rights, ledger, progress)
  }

  func build(in root: OutputDirectory) throws {
    do {
      try objects.begin(in: root, hasShared: !census.shared.isEmpty)
      try walk(RescueVisit(.root, root, path: []))
      try buildNameless(in: root)
      try objects.end()
    } catch {
      // What it left is of no use, and the error that counts is the first.
      try? objects.end()
      throw error
    }
    try leave(.root, root, path: [])
    try root.syncFileSystem()
  }

  private func walk(_ first: RescueVisit) throws {
    stack = [first]
    while let visit = stack.last {
      try progress.checkInterruption()
      if let item = try visit.next(in: namespace) {
        let path = visit.path.isEmpty ? item.name.bytes : visit.path + [slash] + item.name.bytes
        try place(item, at: path, in: visit.directory)
      } else {
        stack.removeLast()
        if visit !== first { try leave(visit.id, visit.directory, path: visit.path) }
      }
    }
  }

  private let slash = UInt8(ascii: "/")

  private func place(_ item: RescueItem, at path: [UInt8], in directory: OutputDirectory) throws {
    try attempt(path) {
      guard try isDirectory(item) else { return try objects.place(item, at: path, in: directory) }
      if census.shared.contains(item.id), !entered.insert(item.id).inserted {
        return ledger.lose(RescueLoss(path, because: "a directory with a second name"))
      }
      let made = try directory.makeDirectory(item.name)
      ledger.summary.directories += 1
      stack.append(RescueVisit(item.id, made, path: path))
    }
  }

  /// A directory whose row is lost is one by what is in it.
  private func isDirectory(_ item: RescueItem) throws -> Bool {
    if let inode = item.inode { return inode.kind == .directory }
    return try !namespace.entries(of: item.id, after: nil).rows.isEmpty
  }

  /// Runs `body` about one path; what the output refuses for that path alone is listed.
  private func attempt(_ path: [UInt8], _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as DFSError {
      if RescueObjects.endsAll(error) { throw error }
      ledger.lose(RescueLoss(path, because: error.description))
    }
  }

  /// Everything below is there: now it gets its own times, and may be closed even to its owner.
  private func leave(_ id: InodeID, _ directory: OutputDirectory, path: [UInt8]) throws {
    try attempt(path) {
      guard let inode = try namespace.inode(id) else {
        // A root that nobody changed has no row.
        if id == .root { return }
        throw DFSError(.damaged, "its row is damaged: permissions, owner and times are not known")
      }
      try objects.finish(directory.descriptor, directory.path, inode)
    }
  }

  // MARK: What has no name

  private func buildNameless(in root: OutputDirectory) throws {
    guard !census.nameless.isEmpty else { return }
    let (name, directory) = try makeLostAndFound(in: root)
    ledger.note("\(census.nameless.count) objects have no name; they are in \(directory.path)")
    for id in census.nameless {
      let item = RescueItem(
        name: try FileName("\(id)"), id: id, inode: try namespace.inode(id))
      let path = name.bytes + [slash] + item.name.bytes
      stack = []
      try place(item, at: path, in: directory)
      ledger.summary.nameless += 1
      if let visit = stack.first {
        try walk(visit)
        try leave(id, visit.directory, path: path)
      }
    }
  }

  /// The user may have something of that name.
  private func makeLostAndFound(
    in root: OutputDirectory
  ) throws -> (FileName, OutputDirectory) {
    let plain = try FileName("lost+found")
    let names = try Disk.names(in: root.path) ?? []
    let name =
      names.contains("lost+found") ? try FileName("lost+found.\(VersionID.random())") : plain
    return (name, try root.makeDirectory(name))
  }
}

/// An entry of a directory.
struct RescueItem {
  let name: FileName
  let id: InodeID
  /// nil if the row is missing or damaged.
  let inode: Inode?
}

/// A directory whose entries are being rebuilt, one page of them in memory.
final class RescueVisit {
  let id: InodeID
  let directory: OutputDirectory
  let path: [UInt8]
  private var items: ArraySlice<RescueItem> = []
  private var last: FileName?
  private var isAtEnd = false

  init(_ id: InodeID, _ directory: OutputDirectory, path: [UInt8]) {
    self.id = id
    self.directory = directory
    self.path = path
  }

  func next(in namespace: OfflineNamespace) throws -> RescueItem? {
    if items.isEmpty, !isAtEnd {
      let page = try namespace.entries(of: id, after: last)
      items = Self.items(page.rows)[...]
      last = items.last?.name ?? last
      isAtEnd = !page.isPartial
    }
    return items.popFirst()
  }

  private static func items(_ rows: [Row]) -> [RescueItem] {
    var inodes: [InodeID: Inode] = [:]
    for case (.inode(let id), let row) in rows.lazy.map({ ($0.key, $0) }) {
      inodes[id] = try? Inode(id: id, row: row.value.bytes)
    }
    return rows.compactMap { row in
      guard case .entry(_, let name) = row.key, let child = row.value.child else { return nil }
      return RescueItem(name: name, id: child, inode: inodes[child])
    }
  }
}
