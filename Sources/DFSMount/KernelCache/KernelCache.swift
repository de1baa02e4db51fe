internal import DFSClient
internal import DFSCore
internal import Dispatch
internal import Synchronization

/// What the kernel may keep, and what it is told to drop: names and attributes, with their timeouts
/// (here), the pages of files (`KernelCache+Pages.swift`), and what is invalidated
/// (`KernelCache+Telling.swift`). All others ask it, so that each rule is in one place.
final class KernelCache: Sendable {
  /// What the kernel knows.
  let nodes = NodeTable()
  /// Seconds for which the kernel may answer from its own memory what it will be told changes of.
  private let nameSeconds: Double
  private let attributeSeconds: Double
  /// The same for what may have changed already.
  private static let briefSeconds = 1.0
  private let movesAccessTimes: Bool
  /// `FileService.changes`.
  private let changes: @Sendable () -> UInt64?
  /// Whether the kernel can be made to ask again for all names; if not, it is told of single ones, and
  /// must not keep for long those of which nothing is known here (a file's others than the last).
  let expiresNames = Atomic<Bool>(false)
  let names: KeptNames
  /// Nil before it is mounted, and after.
  let notifier = Mutex<(any KernelNotifier)?>(nil)
  /// For what must not be told from within an operation.
  let lateTelling = DispatchQueue(label: "dfs.mount.expire")
  /// For what waits for reads.
  let pageTelling = DispatchQueue(label: "dfs.mount.pages", attributes: .concurrent)

  /// `FileService.namespaceID`.
  private let namespace: @Sendable () -> NamespaceID?
  private let knownGeneration = Mutex<UInt64?>(nil)

  init(
    _ options: MountOptions = MountOptions(), unrest: Duration = .seconds(10),
    changes: @escaping @Sendable () -> UInt64?,
    namespace: @escaping @Sendable () -> NamespaceID? = { nil }
  ) {
    names = KeptNames(unrest: unrest)
    self.namespace = namespace
    nameSeconds = options.entryTimeoutSeconds
    attributeSeconds = options.attributeTimeoutSeconds
    movesAccessTimes = options.movesAccessTimes
    self.changes = changes
  }

  /// A moment, before an inode is asked for.
  struct Mark: Sendable {
    /// Of `NodeTable`.
    let published: UInt64
    /// Of `FileService`.
    let changes: UInt64?
  }

  var mark: Mark { Mark(published: nodes.mark, changes: changes()) }

  // MARK: Names and attributes

  /// Goes with an inode's number into handles of files (name_to_handle_at(2)), and must be the same as
  /// long as the kernel knows it. Numbers are not used twice in a namespace, so it is of the namespace: a
  /// handle from before an account was made anew means nothing. 32 bits, of which 0 is the root's.
  func generation(of id: InodeID) -> UInt64 {
    if id == .root { return 0 }
    return knownGeneration.withLock { known in
      if let known { return known }
      let generation = namespace().map { $0.low & 0xffff_ffff } ?? 0
      known = generation
      return generation
    }
  }

  /// For how long the kernel may keep a name and its inode's attributes. Seconds.
  func seconds(of entry: Entry) -> (name: Double, attributes: Double) {
    entry.isForThisCall ? (0, 0) : seconds(of: entry.attributes)
  }

  /// The same, with the name that the attributes come with, if any.
  func seconds(of attributes: Attributes) -> (name: Double, attributes: Double) {
    let mayKeepNames = expiresNames.load(ordering: .relaxed)
    let seconds = seconds(of: attributes, mayKeepNames: mayKeepNames)
    return !mayKeepNames || names.mayBeKept() ? seconds : (0, seconds.attributes)
  }

  private func seconds(
    of attributes: Attributes, mayKeepNames: Bool
  ) -> (name: Double, attributes: Double) {
    let brief = (
      name: min(nameSeconds, Self.briefSeconds), min(attributeSeconds, Self.briefSeconds)
    )
    switch attributes.lifetime {
    case .none: return (brief.name, 0)
    case .brief: return brief
    case .untilChange(let since):
      guard since == changes() else { return brief }
      return (mayKeepNames ? nameSeconds : brief.name, attributeSeconds)
    }
  }

  /// The attributes of an inode that was asked for at `mark` and is not open here.
  func attributes(_ inode: Inode, since mark: Mark) -> Attributes {
    // Reading moves times of access though nothing is changed yet.
    guard !movesAccessTimes, let changes = mark.changes else { return Attributes(inode) }
    return Attributes(inode, lifetime: .untilChange(since: changes))
  }

  /// The attributes of an open file as the kernel may be told them: with the size of the version whose
  /// bytes are in its pages, as long as that is open.
  /// - Parameter paged: the open file of this inode that goes through the kernel's pages.
  func told(_ attributes: Attributes, of file: OpenFile, paged: OpenFile?) -> Attributes {
    guard let paged, paged !== file, !file.isDirty else { return attributes }
    return attributes.sized(paged.size)
  }

  /// Whether what was asked for at `mark` may be older than what open files said meanwhile: the kernel
  /// drops an answer that a write of its own overtook, but cannot know of one that was older than a
  /// write when it was asked for.
  func isOvertaken(_ id: InodeID, since mark: Mark) -> Bool {
    nodes.wasPublished(id, since: mark.published)
  }

  /// Whether anything may have changed since `mark`; where changes of others are not heard of,
  /// anything that was published here.
  func isOld(_ mark: Mark) -> Bool {
    guard let known = mark.changes else { return mark.published != nodes.mark }
    return known != changes()
  }
}

extension Attributes {
  /// With the size that some handles read: not for long, since the kernel has one size for all.
  func sized(_ size: UInt64) -> Attributes {
    var attributes = self
    attributes.size = size
    attributes.lifetime = .none
    return attributes
  }

  /// With a size that the kernel must not take for that of its pages.
  func shown(size: UInt64) -> Attributes {
    guard size != self.size else { return self }
    var attributes = sized(size)
    attributes.isForCallerOnly = true
    return attributes
  }
}
