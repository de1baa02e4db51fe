import DFSCore

/// How dfc ends. This is the one place where an error becomes an exit status.
enum ExitStatus: Int32 {
  case success = 0
  case failed = 1
  case login = 3
  case incomplete = 4
  case serversMissing = 5
  /// A usage error: EX_USAGE of sysexits.h, which ArgumentParser gives too.
  case usage = 64
  case interrupted = 130

  init(of error: any Error) {
    if let reported = error as? Reported {
      self = reported.status
    } else if error is CancellationError {
      self = .interrupted
    } else {
      self = (error as? DFSError).map { Self(of: $0.code) } ?? .failed
    }
  }

  private init(of code: DFSError.Code) {
    switch code {
    case .loginFailed: self = .login
    case .incomplete: self = .incomplete
    case .serversMissing, .disconnected: self = .serversMissing
    case .configuration: self = .usage
    case .cancelled: self = .interrupted
    default: self = .failed
    }
  }

  static let explanation = """
    EXIT STATUS
      0    done
      1    failed (also: one of several commands from a pipe failed; status, verify: redundancy is
           reduced)
      3    the login failed
      4    a file is incomplete: no good copy of a part is on a server that is up
      5    too few servers are up for the command
      64   usage error, or an error in the configuration
      130  interrupted
    """
}

/// An error that was shown already; only its status is left to say.
struct Reported: Error {
  let status: ExitStatus
}
