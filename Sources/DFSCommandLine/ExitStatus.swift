public import ArgumentParser
internal import DFSCore

/// How the programs end. This is the one place where an error becomes an exit status.
public enum ExitStatus: Int32, Sendable {
  case success = 0
  case failed = 1
  case login = 3
  case incomplete = 4
  case serversMissing = 5
  /// A usage error: EX_USAGE of sysexits.h, which ArgumentParser gives too.
  case usage = 64
  case interrupted = 130

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
