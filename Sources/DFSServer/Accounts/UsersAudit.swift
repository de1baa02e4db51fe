internal import DFSCore
internal import DFSWire
internal import Logging

/// What a changed users file changed, for the audit trail (SessionAudit.swift).
struct UsersAudit {
  let added: [UserName]
  let removed: [UserName]
  /// Of a new password.
  let changed: [UserName]

  init(before: [UserName: ScramVerifier], after: [UserName: ScramVerifier]) {
    added = after.keys.filter { before[$0] == nil }.sorted()
    removed = before.keys.filter { after[$0] == nil }.sorted()
    changed = after.filter { name, verifier in before[name].map { $0 != verifier } ?? false }
      .keys.sorted()
  }

  func write(to logger: Logger) {
    for (names, what, text) in [
      (added, "account-added", "an account was added"),
      (removed, "account-removed", "an account was removed"),
      (changed, "password-changed", "a password was changed"),
    ] {
      for name in names {
        logger.notice("\(text)", metadata: ["audit": "\(what)", "user": "\(name)"])
      }
    }
  }
}
