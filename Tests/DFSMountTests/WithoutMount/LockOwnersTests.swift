import DFSCore
import Synchronization
import Testing

@testable import DFSMount

@Suite struct LockOwnersTests {
  private let id = InodeID(256)
  private let owner = FileLock.Owner(.ranges, 1)

  private final class Unlocked: Sendable {
    private let state = Mutex([FileLock.Owner]())
    var owners: [FileLock.Owner] { state.withLock { $0 } }

    @Sendable func unlock(_ id: InodeID, _ owner: FileLock.Owner) async {
      state.withLock { $0.append(owner) }
    }
  }

  private let unlocked = Unlocked()

  @Test func locksGoWithTheHandleThatSetThemLast() async {
    let owners = LockOwners()
    await owners.note(owner, of: id, through: 1)
    await owners.note(owner, of: id, through: 2)
    await owners.close(1, unlock: unlocked.unlock)
    #expect(unlocked.owners.isEmpty)
    await owners.close(2, unlock: unlocked.unlock)
    #expect(unlocked.owners == [owner])
    await owners.close(2, unlock: unlocked.unlock)
    #expect(unlocked.owners.count == 1)
  }

  /// The same owner's, through the next handle, comes after.
  @Test func nothingIsSetWhileLocksAreGivenBack() async {
    let owners = LockOwners()
    await owners.note(owner, of: id, through: 1)
    let (begun, begins) = AsyncStream.makeStream(of: Void.self)
    let (going, goes) = AsyncStream.makeStream(of: Void.self)
    async let closed: Void = owners.close(1) { id, owner in
      begins.finish()
      for await _ in going {}
      await self.unlocked.unlock(id, owner)
    }
    for await _ in begun {}
    async let noted: Int = {
      await owners.note(owner, of: id, through: 2)
      return unlocked.owners.count
    }()
    goes.finish()
    await closed
    #expect(await noted == 1)
  }
}
