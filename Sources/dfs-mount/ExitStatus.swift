internal import ArgumentParser
internal import DFSCore

/// The exit statuses of this program.
enum ExitStatus {
  static let help = """
    EXIT STATUS: 0 mounted (or unmounted); 1 failed; 3 wrong user name or password; 5 fewer than two \
    servers answered; 64 usage error or configuration. The message says why.
    """

  static func of(_ error: DFSError) -> Int32 {
    switch error.code {
    case .loginFailed: 3
    case .serversMissing: 5
    case .configuration: 64
    default: 1
    }
  }
}
