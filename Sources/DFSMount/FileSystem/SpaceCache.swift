internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// The space of the servers, answered from memory: `df` never waits for a server but the first
/// time. An answer older than a while is renewed behind the back of who asks.
final class SpaceCache: Sendable {
  private static let age = Duration.seconds(2)

  private struct State {
    var report: SpaceReport?
    var asked: ContinuousClock.Instant?
  }

  private let service: any FileService
  private let state = Mutex(State())

  init(_ service: any FileService) { self.service = service }

  func report() async throws -> SpaceReport {
    guard let known = state.withLock({ $0.report }) else { return try await renew() }
    if isOld { Task { try? await renew() } }
    return known
  }

  private var isOld: Bool {
    state.withLock { state in
      let now = ContinuousClock.now
      if let asked = state.asked, now - asked < Self.age { return false }
      state.asked = now
      return true
    }
  }

  @discardableResult
  private func renew() async throws -> SpaceReport {
    let report = try await service.space()
    state.withLock {
      $0.report = report
      $0.asked = .now
    }
    return report
  }
}

/// What `df` shows. Servers told the numbers, so none is trusted, and what is free is a part of all.
struct SpaceInBlocks: Hashable {
  static let block: UInt = 4096

  let all: UInt
  let free: UInt
  /// Each block that is free may become a file.
  let files: UInt

  init(_ report: SpaceReport) {
    all = UInt(report.total) / Self.block
    free = UInt(min(report.available, report.total)) / Self.block
    files = UInt(min(report.inodes, Limits.number)) + free
  }
}
