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
  /// What is to be stored before a lock goes is lost only if it can never be stored: not because servers are away, or
  /// the process that waits for the lock got a signal. Who has it open then is told, and nobody opens it again.
  @Test(arguments: [
    (DFSError.Code.cancelled, false), (.serversMissing, false), (.timedOut, false),
    (.noSpace, true),
    (.locksLost, true),
  ])
  func onlyWhatCanNeverBeStoredIsCutOff(_ code: DFSError.Code, isCutOff: Bool) async throws {
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
    if isCutOff {
      try await use.store(inode.id)
    } else {
      await #expect(throws: DFSError.self) { try await use.store(inode.id) }
    }
    #expect(file.cutOff?.code == (isCutOff ? code : nil))
    memory.set { $0.refusal = nil }
    try await use.store(inode.id)
    #expect(!use.hasUnstored(inode.id))
    #expect(memory.state.withLock { $0.inodes[inode.id]?.version?.size } == (isCutOff ? nil : 3))

    let now = try await service.inode(inode.id, .current)
    let next = try #require(
      files.files.open(now, since: files.kernel.mark, context: files.context))
    #expect((next === file) == !isCutOff)
    #expect(files.files[inode.id] === next && next.size == (isCutOff ? 0 : 3))
    #expect(file.overlay(now).size == next.size)
    guard isCutOff else { return }
    for error in [
      await #expect(throws: DFSError.self) { _ = try await file.write([4], at: 0) {} },
      await #expect(throws: DFSError.self) { _ = try await file.read(at: 0, count: 1) },
      await #expect(throws: DFSError.self) { try await file.truncate(to: 0) {} },
      await #expect(throws: DFSError.self) { try await file.publish(durable: true) {} },
    ] { #expect(error?.code == code) }
  }
}
