import DFSCommandLine

/// What the exit statuses mean in dfc.
extension ExitStatus {
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

  /// Of what a command of dfc threw.
  init(ofCommand error: any Error) {
    self = (error as? Reported)?.status ?? Self(of: error)
  }
}

/// An error that was shown already; only its status is left to say.
struct Reported: Error {
  let status: ExitStatus
}
