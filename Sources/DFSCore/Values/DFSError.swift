/// The one error shape: what kind, what happened (fact, limit, remedy), and what caused it.
///
/// The kind is mapped once to an errno, in DFSMount, and once to an exit status, in DFSCommandLine.
public struct DFSError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of an error. The raw values travel on the wire (`failed`), so none ever changes.
  public enum Code: String, Sendable, CaseIterable, Hashable {
    // What a file system answers.
    case notFound, exists, notDirectory, isDirectory, notEmpty, invalidArgument, nameTooLong
    case fileTooLarge, noSpace, quotaExceeded, readOnly, notPermitted, accessDenied, staleHandle
    case noAttribute, outOfRange, tooManyLinks, unsupported, loop, busy, crossDevice
    /// Another owner has a lock that excludes the one that was asked for; that waiting for it would never end; that no
    /// lock can be had.
    case wouldBlock, deadlock, noLocks
    /// Another client took the locks on a file: what was written under them is not stored any more.
    case locksLost
    // What servers and the net do.
    /// The parts of a file cannot all be found on the servers that are up.
    case incomplete
    /// Too few servers answer for what was asked.
    case serversMissing
    /// The outcome is not known: it may or may not have happened.
    case timedOut
    /// Wrong user name or password.
    case loginFailed
    /// One server could not be reached, or its connection ended.
    case disconnected
    /// Bytes do not match their checksum, or a record cannot be read.
    case damaged
    /// The peer broke the protocol.
    case protocolViolation
    /// Another client holds a later view.
    case superseded = "displaced"
    case cancelled
    /// A usage error, or an error in a configuration.
    case configuration
    /// The operating system refused something.
    case inputOutput
  }

  /// The kind, which errno and exit status follow from.
  public let code: Code
  /// What people read: the fact, the limit that was broken, what to do.
  public let message: String
  /// The error below this one, as text; nil if there is none.
  public let cause: String?

  /// - Parameter cause: the error below, of which the text is kept.
  public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause.map { "\($0)" }
  }

  public var description: String { cause.map { "\(message): \($0)" } ?? message }
}
