import DFSCore
import DFSTestSupport
import Logging
import Testing

@testable import DFSClient

@Suite struct FileLocksTests {
  /// Who asks whether locks are in doubt, at each read and write, and who keeps them alive wait for each other never.
  @Test func doubtIsAskedForWhileServersAre() async throws {
    try await ClientSetting.run { setting in
      let inode = try await setting.file("file", TestContent(size: 10))
      var pace = LockPace()
      pace.heartbeat = .zero
      let client = setting.client
      let locks = FileLocks(
        client.namespace, client: ClientID(77), pace: pace, logger: Logger(label: "test"))
      let owner = FileLock.Owner(.ranges, 1)
      try await locks.lock(inode.id, FileLock(owner, 0...9, isExclusive: true), waits: false)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask { for _ in 0..<200_000 { _ = locks.isInDoubt(inode.id) } }
        }
      }
      #expect(!locks.isInDoubt(inode.id) && locks.holds(inode.id, owner))
      await locks.end()
    }
  }
}
