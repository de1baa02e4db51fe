import DFSClient
import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Glibc
import Synchronization
import Testing

@testable import DFSMount

@Suite struct LockUseTests {
  /// What is stored before a lock goes is given up only if it can never be stored: not because servers are away, or the
  /// process that waits for the lock got a signal.
  @Test(arguments: [
    (DFSError.Code.cancelled, false), (.serversMissing, false), (.timedOut, false),
    (.noSpace, true),
    (.locksLost, true),
  ])
  func onlyWhatCanNeverBeStoredIsGivenUp(_ code: DFSError.Code, isGivenUp: Bool) async throws {
    let memory = MemoryFiles()
    let service = MemoryClient(memory)
    var client = ClientConfiguration(servers: [])
    client.cacheDirectory = NSTemporaryDirectory() + "dfs-cache-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: client.cacheDirectory ?? "") }
    let files = FileSystem(
      service: service, configuration: try MountConfiguration(mountpoint: "/mnt", client: client),
      source: "memory", logger: CapturedLog().logger)
    let inode = try await service.create(
      .root, FileName("f"), NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0))
    let file = try #require(
      files.files.open(inode, since: files.kernel.mark, context: files.context))
    let caller = Caller(user: 0, group: 0, thread: 0)
    _ = files.handles.add(FileHandle(file, flags: O_RDWR, isPastPages: false, caller))
    _ = try await file.write([1, 2, 3], at: 0) {}

    let use = LockUse(files)
    memory.set { $0.refusal = DFSError(code, "no") }
    if isGivenUp {
      try await use.store(inode.id)
    } else {
      await #expect(throws: DFSError.self) { try await use.store(inode.id) }
    }
    #expect(file.state.withLock { $0.finalFailure?.code } == (isGivenUp ? code : nil))
    memory.set { $0.refusal = nil }
    try await use.store(inode.id)
    #expect(use.hasUnstored(inode.id) == isGivenUp)
    #expect(memory.state.withLock { $0.inodes[inode.id]?.version?.size } == (isGivenUp ? nil : 3))
  }
}
