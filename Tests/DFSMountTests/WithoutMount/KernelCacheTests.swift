import DFSClient
import DFSCore
import DFSTestSupport
import Foundation
import Glibc
import Synchronization
import Testing

@testable import DFSMount

/// What the kernel may keep, and what it is told to drop.
@Suite struct KernelCacheTests {
  /// A kernel, and a service, of which nothing but its counter of changes is asked.
  private final class Kernel: KernelNotifier {
    struct State {
      var changes: UInt64? = 1
      var inodes: [InodeID] = []
      var names: [NodeName] = []
      var expired = 0
    }

    let expires: Bool
    let state = Mutex(State())

    init(expires: Bool) { self.expires = expires }

    func drop(_ id: InodeID) { state.withLock { $0.inodes.append(id) } }
    func dropPages(of id: InodeID, _ bytes: Range<UInt64>?) { drop(id) }
    func drop(_ name: NodeName) { state.withLock { $0.names.append(name) } }
    func expireNames() -> Bool {
      state.withLock { $0.expired += 1 }
      return expires
    }
  }

  private let inode = Inode(
    id: InodeID(256), kind: .regular, mode: 0o600, owner: 0, group: 0,
    time: Timestamp(nanoseconds: 0))

  private func cache(
    _ options: String = "", expires: Bool = true, unrest: Duration = .seconds(600)
  ) throws -> (cache: KernelCache, kernel: Kernel) {
    let kernel = Kernel(expires: expires)
    let cache = KernelCache(try MountOptions(parsing: [options]), unrest: unrest) {
      kernel.state.withLock { $0.changes }
    }
    cache.attach(kernel)
    cache.begin()
    kernel.state.withLock { $0.expired = 0 }
    return (cache, kernel)
  }

  private func name(_ text: String) throws -> NodeName {
    NodeName(parent: .root, name: try FileName(text))
  }

  // MARK: Timeouts

  @Test func whatNothingChangedIsKeptForLong() throws {
    let (cache, kernel) = try cache("entry_timeout=30,attr_timeout=40")
    let attributes = cache.attributes(inode, since: cache.mark)
    #expect(cache.seconds(of: attributes) == (30, 40))
    var entry = Entry(name: nil, attributes: attributes)
    entry.isForThisCall = true
    #expect(cache.seconds(of: entry) == (0, 0))
    #expect(cache.seconds(of: attributes.sized(7)) == (1, 0), "handles have several sizes")
    kernel.state.withLock { $0.changes = 2 }
    #expect(cache.seconds(of: attributes) == (1, 1))
    kernel.state.withLock { $0.changes = nil }
    #expect(cache.seconds(of: attributes) == (1, 1))
    #expect(cache.attributes(inode, since: cache.mark).lifetime == .brief)
  }

  @Test func aTimeoutOfLessThanAMomentIsKept() throws {
    let (cache, _) = try cache("entry_timeout=0,attr_timeout=0.5")
    #expect(cache.seconds(of: Attributes(inode)) == (0, 0.5))
  }

  @Test func timesOfAccessMoveUnheard() throws {
    let (cache, _) = try cache("relatime")
    #expect(cache.attributes(inode, since: cache.mark).lifetime == .brief)
  }

  /// A kernel before Linux 6.16.
  @Test func namesThatCannotBeTakenBackAreKeptForAMoment() throws {
    let (cache, _) = try cache(expires: false)
    #expect(cache.seconds(of: cache.attributes(inode, since: cache.mark)) == (1, 60))
  }

  /// What is expired is out of its directory for a moment, so nothing is kept while others change names.
  @Test func noNamesAreKeptWhileOthersChangeSome() throws {
    let change = RowKey.entry(parent: .root, name: try FileName("new"))
    let (cache, kernel) = try cache("entry_timeout=30,attr_timeout=40")
    cache.nodes.remember(.root, as: nil)
    let attributes = cache.attributes(inode, since: cache.mark)
    for _ in 0..<3 {
      cache.drop(change)
      #expect(cache.seconds(of: attributes) == (0, 40))
      #expect(cache.seconds(of: Attributes(inode)) == (0, 1))
    }
    #expect(kernel.state.withLock { $0.expired } == 1)

    let (calm, other) = try self.cache("entry_timeout=30,attr_timeout=40", unrest: .zero)
    calm.nodes.remember(.root, as: nil)
    calm.drop(change)
    calm.drop(change)
    #expect(other.state.withLock { $0.expired } == 1)
    #expect(calm.seconds(of: attributes) == (30, 40))
    calm.drop(change)
    #expect(other.state.withLock { $0.expired } == 2)
  }

  // MARK: Pages

  private func openFile(_ version: VersionID, of cache: KernelCache) -> OpenFile {
    let context = FileContext(
      service: MemoryClient(MemoryFiles()), kernel: cache,
      spools: SpoolBudget(
        directory: NSTemporaryDirectory(), diskLimit: 1 << 20, memoryPerFile: 1 << 20),
      writes: .quorum, host: "here", logger: CapturedLog().logger)
    var inode = inode
    inode.version = Version(
      Content(
        id: version, size: 0, md5: .of([]), placement: Placement(md5: .of([])),
        partDigests: Array(repeating: BlockChecksum(0), count: 4)))
    return OpenFile(inode, context: context, pages: .through)
  }

  /// The kernel may throw away what it asked for before it was made to forget the size.
  @Test func aSizeThatOthersAreChangingIsInDoubt() async throws {
    let (cache, _) = try cache()
    cache.nodes.remember(inode.id, as: nil)
    let file = openFile(.random(), of: cache)
    var told = Attributes(file.state.withLock { $0.inode })
    cache.noteTold(told)
    #expect(!cache.isSizeInDoubt(of: file, since: nil))
    cache.drop(RowKey.inode(inode.id))
    cache.noteTold(told)
    #expect(cache.isSizeInDoubt(of: file, since: nil))
    let mark = cache.nodes.forgettings(of: inode.id)
    #expect(!cache.isSizeInDoubt(of: file, since: mark), "asked for after that")
    cache.renewSize(of: file)
    #expect(!cache.isSizeInDoubt(of: file, since: mark), "it was told no other")
    told.size = 1
    cache.noteTold(told)
    #expect(cache.isSizeInDoubt(of: file, since: mark), "it was told two")
    cache.drop(RowKey.inode(inode.id))
    told.size = 0
    cache.noteTold(told)
    #expect(cache.isSizeInDoubt(of: file, since: mark), "it had to forget again")
    try await eventually("the doubt passes") { !cache.isSizeInDoubt(of: file, since: nil) }
  }

  @Test func pagesAreThoseOfTheVersionThatWasReadLast() throws {
    let (cache, _) = try cache()
    cache.nodes.remember(inode.id, as: nil)
    let version = VersionID.random()
    let file = openFile(version, of: cache)
    func keeps(_ version: VersionID) -> Bool { cache.nodes.keepsPages(of: version, inode.id) }

    cache.noteReading(version, of: file.state.withLock { $0 }, inode.id)
    #expect(cache.mayReadPages(of: inode.id) && keeps(version))
    cache.noteReading(.random(), of: file.state.withLock { $0 }, inode.id)
    #expect(keeps(version), "a read of what the file was before it went on")
    cache.noteChange(of: inode.id)
    #expect(!cache.mayReadPages(of: inode.id) && !keeps(version))
    cache.notePublished(version, inode.id, target: inode.id, .through)
    #expect(keeps(version))
    cache.notePublished(version, inode.id, target: inode.id, .writtenPast)
    #expect(!keeps(version))

    #expect(cache.pages(of: file, flags: O_WRONLY, hearsReads: false).arePassed == false)
    #expect(cache.pages(of: file, flags: O_RDONLY | O_APPEND, hearsReads: false).arePassed == false)
    #expect(cache.pages(of: file, flags: O_WRONLY | O_APPEND, hearsReads: false).arePassed)
    #expect(file.state.withLock { $0.pages } == .writtenPast)
    #expect(cache.pages(of: file, flags: O_WRONLY, hearsReads: false).arePassed == false)
    let divided = OpenFile(inode, context: file.context, pages: .past)
    #expect(cache.pages(of: divided, flags: O_RDONLY, hearsReads: false).arePassed)
  }

  // MARK: Telling

  @Test func whatTheKernelDoesNotKnowIsNotTold() throws {
    let (cache, kernel) = try cache()
    cache.drop(RowKey.inode(inode.id))
    #expect(kernel.state.withLock { $0.inodes.isEmpty })
    cache.nodes.remember(inode.id, as: try name("a"))
    cache.drop(RowKey.inode(inode.id))
    cache.drop(RowKey.entry(parent: .root, name: try FileName("b")))
    let (inodes, names, expired) = kernel.state.withLock { ($0.inodes, $0.names, $0.expired) }
    #expect(inodes == [inode.id, .root] && names.isEmpty && expired == 1)
    cache.detach()
    cache.renewEverything()
    #expect(kernel.state.withLock { $0.inodes.count } == 2)
  }

  @Test func anOldKernelIsToldOfSingleNames() throws {
    let (cache, kernel) = try cache(expires: false)
    let (a, b) = (try name("a"), try name("b"))
    cache.nodes.remember(inode.id, as: a)
    cache.drop(b)
    cache.renewEverything()
    #expect(kernel.state.withLock { $0.names } == [b, a])
    #expect(kernel.state.withLock { $0.inodes } == [.root, inode.id])
  }
}
