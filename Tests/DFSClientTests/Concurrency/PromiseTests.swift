import DFSCore
import DFSTestSupport
import Testing

@testable import DFSClient

@Suite struct PromiseTests {
  @Test func allWaitersGetTheFirstResult() async throws {
    let shared = Promise<Int>()
    try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<10 { group.addTask { try await shared.value() } }
      shared.fulfil(.success(7))
      shared.fulfil(.success(8))
      for try await value in group { #expect(value == 7) }
    }
    #expect(try await shared.value() == 7)
  }

  @Test func aCancelledWaiterLeavesTheOthers() async throws {
    let shared = Promise<Int>()
    let patient = Task { try await shared.value() }
    let cancelled = Task { try await shared.value() }
    cancelled.cancel()
    await #expect(throws: DFSError.cancelled) { try await cancelled.value }
    shared.fulfil(.success(1))
    #expect(try await patient.value == 1)
  }
}
