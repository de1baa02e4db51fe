public import ArgumentParser
internal import DFSCore

/// How the programs end. This is the one place where an error becomes an exit status.
public enum ExitStatus: Int32, Sendable {
  case success = 0
  case failed = 1
  /// Wrong user name or password.
  case login = 3
  case incomplete = 4
  /// Too few servers answer for what was asked.
  case serversMissing = 5
  /// A usage error: EX_USAGE of sysexits.h, which ArgumentParser gives too.
  case usage = 64
  /// 128 and the number of SIGINT, as shells have it.
  case interrupted = 130

  /// The status for an error: `interrupted` for a cancellation, by the code for a `DFSError`,
  /// `failed` for others.
  public init(of error: any Error) {
    if error is CancellationError {
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

  /// What ArgumentParser ends the process with.
  public var exitCode: ExitCode { ExitCode(rawValue) }
}
