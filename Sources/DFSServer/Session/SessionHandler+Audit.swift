internal import DFSCore
internal import DFSWire
internal import Logging

/// The audit trail: lines of level notice with `audit=WHAT` among their metadata, for who logged in
/// and out, who could not, accounts that changed (UsersAudit.swift), and state that was transferred.
/// They have neither contents nor names of files.
extension SessionHandler {
  private func audit(_ what: String, _ text: String, _ more: Logger.Metadata = [:]) {
    logger.notice("\(text)", metadata: more.merging(["audit": "\(what)"]) { $1 })
  }

  func auditLogin(_ login: Login) {
    audit(
      "login", "logged in",
      [
        "client": "\(login.hello?.client.value ?? 0)",
        "encrypted": login.binding == nil ? "no" : "yes",
      ])
  }

  func auditLogout() { audit("logout", "logged out") }

  /// The line is the one of the refusal, which follows.
  func auditFailedLogin() { logger[metadataKey: "audit"] = "login-failed" }

  /// What a request did, if it is one of those that replace a namespace's state.
  func audit(_ request: Request, _ reply: Reply) {
    let outcome: Logger.Metadata
    if case .failed(let failed) = reply {
      outcome = ["refused": "\(failed.error.code.rawValue)"]
    } else {
      outcome = [:]
    }
    switch request {
    case .refillBegin: audit("transfer-begin", "a state transfer begins", outcome)
    case .refillEnd(let end):
      audit(
        "transfer-end", "a state transfer ends",
        outcome.merging(["number": "\(end.to.number)"]) { $1 })
    default: break
    }
  }
}
