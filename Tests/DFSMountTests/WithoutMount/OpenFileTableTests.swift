import DFSClient
import DFSCore
import DFSSystem
import Foundation
import Glibc
import Synchronization
import Testing

@testable import DFSMount

/// Which open file a new handle joins.
@Suite struct OpenFileTableTests {
  /// An open that asked for the inode before another's close was done, and comes after it, must not
  /// open the version before: it would be written and published over the other's. Lines that several
  /// processes appended to one file were lost so.
  @Test func anOpenThatWasOvertakenByACloseHasTheClosedVersion() async throws {
    let service = MemoryClient(MemoryFiles())
    let context = context(service)
    let empty = try await service.create(.root, try FileName("log"), new)
    let files = OpenFileTable()
    let first = try #require(files.open(empty, since: context.kernel.mark, context: context))
    _ = try await first.write(Array("one\n".utf8), at: nil) {}
    try await first.publish(durable: false) {}

    let mark = context.kernel.mark
    let old = try await service.inode(empty.id, .current)
    _ = try await first.write(Array("two\n".utf8), at: nil) {}
    try await first.publish(durable: false) {}
    #expect(files.open(old, since: mark, context: context) == nil, "it is to be asked for again")
    let (now, new) = (context.kernel.mark, try await service.inode(empty.id, .current))
    let second = try #require(files.open(new, since: now, context: context))
    #expect(second === first)
    #expect(second.state.withLock { $0.pages } == .through)

    #expect(!files.close(first))
    #expect(files.close(first))
    #expect(files.open(old, since: mark, context: context) == nil, "nor with no handle left")
    let third = try #require(files.open(new, since: now, context: context))
    #expect(third !== first && third.size == 8)
  }

  /// The answer to a change of attributes comes after that to a publish that was made later.
  @Test func answersInAnotherOrderLeaveTheContent() async throws {
    let service = MemoryClient(MemoryFiles())
    let context = context(service)
    let made = try await service.create(.root, try FileName("f"), new)
    let files = OpenFileTable()
    let file = try #require(files.open(made, since: context.kernel.mark, context: context))
    _ = try await file.write(Array("content".utf8), at: nil) {}
    var change = AttributeChange()
    change.mode = 0o600
    let changed = try await service.setAttributes(made.id, change)
    try await file.publish(durable: false) {}
    file.learn(changed, modified: nil)
    let (known, base) = file.state.withLock { ($0.inode, $0.base) }
    #expect(known.version == base && known.size == 7 && known.mode == 0o600)
    #expect(try await service.inode(made.id, .current) == known)
  }

  /// It goes on with what another mount published, holds that alone, and is written by nobody.
  @Test func aFileThatIsReadGoesOn() async throws {
    let service = MemoryClient(MemoryFiles())
    let context = context(service)
    let made = try await service.create(.root, try FileName("f"), new)
    let writer = OpenFile(made, context: context, pages: .past)
    func publish(_ text: String) async throws -> Inode {
      _ = try await writer.write(Array(text.utf8), at: nil) {}
      try await writer.publish(durable: false) {}
      return try await service.inode(made.id, .current)
    }
    let old = try await publish("old")
    let files = OpenFileTable()
    let file = try #require(files.open(old, since: context.kernel.mark, context: context))
    #expect(!file.isBehind(old))
    let now = try await publish(", new")
    #expect(file.isBehind(now) && file.steps == 0)
    file.goOn(with: now, readers: 2)
    #expect(file.isBehind(now), "one of its handles was opened since")
    file.goOn(with: now, readers: 1)
    #expect(file.size == 3, "the kernel has pages of what it was")
    await file.dropOldPages()
    #expect(!file.isBehind(now) && file.steps == 1 && file.size == 8)
    let (base, inode, held) = file.state.withLock { ($0.base, $0.inode, $0.held) }
    #expect(base == now.version && inode == now && Array(held.values) == [base].compactMap(\.self))
    file.letGo()
    writer.letGo()
    #expect(service.files.state.withLock { $0.holds.isEmpty })

    _ = try await file.write(Array("!".utf8), at: nil) {}
    #expect(!file.isBehind(old), "nobody goes on from what is written here")
  }

  /// Who appended behind what another mount appended sees the size that the file has, once the kernel has let go of
  /// the pages of the version before.
  @Test func whoAppendedBehindOthersSeesAllOfIt() async throws {
    /// It takes its time to let go of pages.
    final class Kernel: KernelNotifier {
      let dropped = Atomic(false)
      func drop(_ id: InodeID) {}
      func dropPages(of id: InodeID, _ bytes: Range<UInt64>?) {
        usleep(100_000)
        dropped.store(true, ordering: .relaxed)
      }
      func drop(_ name: NodeName) {}
      func expireNames() -> Bool { true }
    }
    let service = MemoryClient(MemoryFiles())
    let (context, kernel) = (context(service), Kernel())
    context.kernel.attach(kernel)
    let made = try await service.create(.root, try FileName("log"), new)
    let other = OpenFile(made, context: context, pages: .past)
    _ = try await other.write(Array("one\n".utf8), at: nil) {}
    try await other.publish(durable: false) {}
    let file = OpenFile(
      try await service.inode(made.id, .current), context: context, pages: .through)
    _ = try await other.write(Array("two\n".utf8), at: nil) {}
    try await other.publish(durable: false) {}

    _ = try await file.write(Array("three\n".utf8), at: nil) {}
    try await file.publish(durable: false) {}
    #expect(kernel.dropped.load(ordering: .relaxed) && file.size == 14)
    #expect(try await file.read(at: 0, count: 20).flatMap { $0 } == Array("one\ntwo\nthree\n".utf8))
    #expect(file.overlay(try await service.inode(made.id, .current)).size == 14)
    file.letGo()
    other.letGo()
  }

  /// fsync brings to stable storage what was written before and stored without: below what is stored now, or in the
  /// version of others that it lies in.
  @Test func fsyncMeansAllThatWasWritten() async throws {
    let files = MemoryFiles()
    let service = MemoryClient(files)
    let context = context(service)
    let made = try await service.create(.root, try FileName("log"), new)
    let file = OpenFile(made, context: context, pages: .through)
    func syncs() -> Int { files.state.withLock { $0.syncs } }

    _ = try await file.write([UInt8](repeating: 1, count: 200_000), at: 0) {}
    try await file.publish(durable: false) {}
    _ = try await file.write([2], at: 100_000) {}
    try await file.publish(durable: true) {}
    #expect(files.state.withLock { $0.layers } == 1 && syncs() == 1)
    _ = try await file.write([3], at: 150_000) {}
    try await file.publish(durable: true) {}
    try await file.publish(durable: true) {}
    #expect(syncs() == 1, "all of it is there")

    let other = OpenFile(
      try await service.inode(made.id, .current), context: context, pages: .past)
    _ = try await other.write([4], at: nil) {}
    try await other.publish(durable: false) {}
    let inode = try await service.inode(made.id, .current)
    file.state.withLock { $0.handles = 1 }
    _ = try await file.lock.alone { file.goOn(with: inode) }
    try await file.publish(durable: true) {}
    #expect(syncs() == 1, "what others did not sync is theirs")

    _ = try await other.lock.alone { other.goOn(with: inode) }
    other.state.withLock { $0.handles = 1 }
    _ = try await file.write([5], at: 0) {}
    try await file.publish(durable: false) {}
    let next = try await service.inode(made.id, .current)
    _ = try await other.lock.alone { other.goOn(with: next) }
    try await other.publish(durable: true) {}
    #expect(syncs() == 2 && other.isPublished(as: next.version?.id))
    file.letGo()
    other.letGo()
  }

  /// A sync that failed is tried by storing the file again, but never over what others have stored since.
  @Test func whatCannotBeSyncedReplacesNothingNewer() async throws {
    let files = MemoryFiles()
    let service = MemoryClient(files)
    let context = context(service)
    let made = try await service.create(.root, try FileName("f"), new)
    let file = OpenFile(made, context: context, pages: .through)
    _ = try await file.write(Array("old".utf8), at: 0) {}
    try await file.publish(durable: false) {}
    files.set { $0.failingSyncs = 1 }
    try await file.publish(durable: true) {}
    #expect(files.state.withLock { $0.durablePublishes } == 1, "it was stored again")

    _ = try await file.write(Array("OLD".utf8), at: 0) {}
    try await file.publish(durable: false) {}
    let other = OpenFile(
      try await service.inode(made.id, .current), context: context, pages: .past)
    _ = try await other.write(Array("new".utf8), at: 0) {}
    try await other.publish(durable: false) {}
    let newer = try await service.inode(made.id, .current)
    files.set { $0.failingSyncs = 2 }
    await #expect(throws: DFSError.self) { try await file.publish(durable: true) {} }
    #expect(file.lastFailure != nil && !file.isPublishing)
    files.set { $0.failingSyncs = 1 }
    try await file.publish(durable: true) {}
    #expect(file.lastFailure == nil)
    #expect(try await service.inode(made.id, .current).version?.id == newer.version?.id)
    file.letGo()
    other.letGo()
  }

  private let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)

  private func context(_ service: MemoryClient) -> FileContext {
    FileContext(
      service: service, kernel: KernelCache { service.changes },
      spools: SpoolBudget(
        directory: NSTemporaryDirectory(), diskLimit: 1 << 20, memoryPerFile: 1 << 20),
      writes: .quorum, host: "here", logger: CapturedLog().logger)
  }
}
