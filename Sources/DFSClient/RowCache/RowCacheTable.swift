internal import DFSCore

/// What is known of something: whether it is there, and what it is.
enum Known<Value: Sendable>: Sendable {
  case unknown
  case absent
  case present(Value)

  init(_ value: Value?) { self = value.map { .present($0) } ?? .absent }

  var isKnown: Bool { if case .unknown = self { false } else { true } }
  var value: Value? { if case .present(let value) = self { value } else { nil } }
}

/// The rows of the cache, gathered by inode: its own row, the entries in it, its attributes.
/// What was not used for the longest time goes first.
///
/// Rows that an open change of this client writes are not known until it has ended, but are kept as they
/// were: what it does not write stays known, and that a directory is wholly known too.
///
/// Invariant: `weight` is the sum of the objects' weights, about one a row; a large row counts as many.
struct RowCacheTable: Sendable {
  /// An inode is far larger than the rest of an object, and a dictionary has much empty room.
  final class Boxed: Sendable {
    let inode: Inode
    init(_ inode: Inode) { self.inode = inode }
  }

  struct Object: Sendable {
    var inode = Known<Boxed>.unknown
    /// The entries that are known; nil: there is no such entry.
    var children: [FileName: InodeID?] = [:]
    /// All entries are among `children`.
    var isComplete = false
    /// The names of a complete directory in order, once they were asked for.
    var sorted: [FileName]?
    var attributes: [AttributeName: [UInt8]]?
    var lastUse: UInt64 = 0

    var weight: Int {
      1 + children.count
        + (attributes ?? [:]).reduce(0) { $0 + 1 + $1.value.count / RowCacheTable.rowBytes }
    }
  }

  /// What counts as one row.
  static let rowBytes = 256

  let limit: Int
  private var objects: [InodeID: Object] = [:]
  private(set) var weight = 0
  private var uses: UInt64 = 0
  private var open = OpenChange()
  /// Something that was asked for is being written by the open change.
  private(set) var hasMetOpenChange = false

  init(limit: Int) { self.limit = limit }

  // MARK: Asking

  /// Whether it is a directory, if that is known: no inode becomes another kind.
  mutating func isDirectory(_ id: InodeID) -> Bool? {
    if open.removes(id) { hasMetOpenChange = true }
    guard !open.removes(id), let known = touch(id)?.inode, known.isKnown else { return nil }
    return known.value?.inode.kind == .directory
  }

  mutating func inode(_ id: InodeID) -> Known<Inode> {
    guard !meets(open.inodes[id] != nil) else { return .unknown }
    return switch touch(id)?.inode ?? .unknown {
    case .unknown: .unknown
    case .absent: .absent
    case .present(let boxed): .present(boxed.inode)
    }
  }

  /// The inode that a name leads to.
  mutating func childInode(_ parent: InodeID, _ name: FileName) -> Known<Inode> {
    switch child(parent, name) {
    case .unknown: .unknown
    case .absent: .absent
    case .present(let id): inode(id).value.map { .present($0) } ?? .unknown
    }
  }

  mutating func child(_ parent: InodeID, _ name: FileName) -> Known<InodeID> {
    guard !meets(open.entries[parent]?.contains(name) ?? false), let object = touch(parent)
    else { return .unknown }
    if let known = object.children[name] { return Known(known) }
    return object.isComplete ? .absent : .unknown
  }

  mutating func attributes(_ id: InodeID) -> [AttributeName: [UInt8]]? {
    meets(open.attributes.contains(id)) ? nil : touch(id)?.attributes
  }

  /// Whether the directory is empty, said as a listing of nothing or as one entry; nil where it is
  /// not known.
  mutating func emptiness(_ directory: InodeID) -> [Finding]? {
    guard !meets(open.entries[directory] != nil), let object = touch(directory) else { return nil }
    for (name, child) in object.children {
      if let child { return [.entry(parent: directory, name, child)] }
    }
    return object.isComplete ? [.listing(directory, [:])] : nil
  }

  /// All entries with their inodes in order, if all of it is known.
  mutating func listing(_ directory: InodeID) -> [DirectoryItem]? {
    guard !meets(open.entries[directory] != nil), let object = touch(directory), object.isComplete
    else { return nil }
    let names = object.sorted ?? object.children.filter { $0.value != nil }.keys.sorted()
    objects[directory]?.sorted = names
    var items: [DirectoryItem] = []
    items.reserveCapacity(names.count)
    for name in names {
      guard let child = object.children[name] ?? nil, let inode = inode(child).value
      else { return nil }
      items.append(DirectoryItem(name: name, inode: inode))
    }
    return items
  }

  private mutating func meets(_ isOpen: Bool) -> Bool {
    if isOpen { hasMetOpenChange = true }
    return isOpen
  }

  /// Looks, and says whether what is unknown may only be so because of the open change.
  mutating func look<Value>(
    _ body: (inout RowCacheTable) -> Known<Value>
  ) -> (known: Known<Value>, isOpen: Bool) {
    hasMetOpenChange = false
    let known = body(&self)
    return (known, !known.isKnown && hasMetOpenChange)
  }

  func unknownChildren(of directory: InodeID) -> [InodeID]? {
    guard let object = objects[directory], object.isComplete else { return nil }
    return object.children.values.compactMap { $0 }.filter {
      !(objects[$0]?.inode.isKnown ?? false)
    }
  }

  // MARK: The open change

  mutating func begin(_ writes: [RowWrite]) {
    abandon()
    open = OpenChange(writes)
  }

  /// What change `number` wrote is the truth now. What it made is known wholly.
  mutating func commit(_ writes: [RowWrite], number: UInt64) {
    open = OpenChange()
    for write in writes { keep(write, number: number) }
  }

  /// What became of the open change is not known here, or others wrote after it.
  mutating func abandon() {
    for key in open.keys { forget(key) }
    open = OpenChange()
  }

  // MARK: Keeping

  mutating func keep(_ finding: Finding) {
    switch finding {
    case .inode(let id, let inode): change(id) { $0.inode = Known(inode.map(Boxed.init)) }
    case .entry(let parent, let name, let child): keep(child, parent, name)
    case .attributes(let id, let values): change(id) { $0.attributes = values }
    case .listing(let id, let children):
      guard children.count < limit else { return }
      change(id) {
        $0.children = children.mapValues { .some($0) }
        $0.isComplete = true
        $0.sorted = nil
      }
    }
    shrink()
  }

  private mutating func keep(_ write: RowWrite, number: UInt64) {
    switch write.key {
    case .inode(let id):
      guard let value = write.value, let inode = try? Inode(id: id, row: value.bytes) else {
        return drop(id)
      }
      let isNew = id.value >> 8 == number
      change(id) {
        $0.inode = .present(Boxed(inode))
        if isNew { $0.attributes = [:] }
        if isNew, inode.kind == .directory { $0.isComplete = true }
      }
    case .entry(let parent, let name): keep(write.value?.child, parent, name)
    case .attribute(let id, let name):
      change(id) { $0.attributes?[name] = write.value?.bytes }
    }
    shrink()
  }

  private mutating func keep(_ child: InodeID?, _ parent: InodeID, _ name: FileName) {
    change(parent) {
      // An entry of a complete directory that is not there needs no note.
      $0.children[name] = $0.isComplete && child == nil ? nil : .some(child)
      $0.sorted = nil
    }
  }

  /// Somebody wrote this row: what is kept of it is not known any more.
  mutating func forget(_ key: RowKey) {
    switch key {
    case .inode(let id):
      guard objects[id] != nil else { return }
      change(id) { $0.inode = .unknown }
    case .entry(let parent, let name):
      guard objects[parent] != nil else { return }
      change(parent) {
        $0.children[name] = nil
        $0.isComplete = false
        $0.sorted = nil
      }
    case .attribute(let id, _):
      guard objects[id] != nil else { return }
      change(id) { $0.attributes = nil }
    }
  }

  /// The inode is gone, and no other gets its number: a note of that would only take the room of
  /// what is there. Or it is not needed any more.
  mutating func drop(_ id: InodeID) {
    weight -= objects.removeValue(forKey: id)?.weight ?? 0
    // A dictionary by itself keeps its room for ever.
    if objects.capacity > Self.keptCapacity, objects.count < objects.capacity / 8 {
      objects = Dictionary(objects.map { ($0.key, $0.value) }) { $1 }
    }
  }

  /// Objects for which there may be room though they are gone.
  private static let keptCapacity = 4096

  /// The open change stays open.
  mutating func forgetEverything() {
    objects = [:]
    weight = 0
  }

  // MARK: The limit

  private mutating func touch(_ id: InodeID) -> Object? {
    uses += 1
    objects[id]?.lastUse = uses
    return objects[id]
  }

  private mutating func change(_ id: InodeID, _ body: (inout Object) -> Void) {
    uses += 1
    weight -= objects[id]?.weight ?? 0
    body(&objects[id, default: Object()])
    objects[id]?.lastUse = uses
    weight += objects[id]?.weight ?? 0
  }

  /// Over the limit, an eighth of it goes at once, so that this is rare; only numbers are sorted for
  /// it, since who answers is waiting.
  private mutating func shrink() {
    guard weight > limit else { return }
    while weight > limit - limit / 8 {
      let uses = objects.values.map(\.lastUse).sorted()
      let last = uses[uses.count / 8]
      for id in objects.compactMap({ $0.value.lastUse <= last ? $0.key : nil }) {
        weight -= objects.removeValue(forKey: id)?.weight ?? 0
      }
    }
  }
}

/// The rows that the change under way writes.
private struct OpenChange {
  private(set) var keys: [RowKey] = []
  /// Whether each inode that it writes is there after it.
  private(set) var inodes: [InodeID: Bool] = [:]
  private(set) var entries: [InodeID: Set<FileName>] = [:]
  private(set) var attributes: Set<InodeID> = []

  init(_ writes: [RowWrite] = []) {
    for write in writes {
      keys.append(write.key)
      switch write.key {
      case .inode(let id): inodes[id] = write.value != nil
      case .entry(let parent, let name): entries[parent, default: []].insert(name)
      case .attribute(let id, _): attributes.insert(id)
      }
    }
  }

  func removes(_ id: InodeID) -> Bool { inodes[id] == false }
}
