internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Logging
internal import NIOPosix
internal import Synchronization

/// Looks at the users file every now and then, so that what is changed there holds for connections that
/// are open: those of a user who was removed, or whose password was changed, end; quotas are as they
/// are written.
final class UserWatch: Sendable {
  private static let period = Duration.milliseconds(1500)

  private let task = Mutex<Task<Void, Never>?>(nil)

  func begin(_ service: Service) {
    task.withLock {
      $0 = Task { [weak service] in
        var look = Look()
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.period)
          guard let service else { return }
          await look.take(service)
        }
      }
    }
  }

  func end() { task.withLock { $0?.cancel() } }

  private struct Look {
    /// Who writes the file anew may take it away for a moment.
    private var wasAbsent = false
    private var hasFailed = false

    mutating func take(_ service: Service) async {
      let users = service.users
      do {
        try await service.threads.runIfActive { try users.refresh() }
        hasFailed = false
      } catch {
        if !hasFailed { service.logger.error("the users cannot be read: \(error)") }
        hasFailed = true
        return
      }
      defer { wasAbsent = !users.isFileThere }
      guard users.isFileThere || wasAbsent else { return }
      for (user, load) in service.loads.all {
        let account = users.account(of: user)
        let ended = load.members(notOf: account?.verifier)
        let reason = DFSError(
          .loginFailed,
          account == nil
            ? "the account '\(user)' was removed, or cannot be read; ask whoever runs the servers"
            : "the password of '\(user)' was changed; log in with the new one")
        for member in ended { member.end(reason) }
        if let limits = account?.limits { load.quota?(limits.quotaBytes) }
      }
    }
  }
}
