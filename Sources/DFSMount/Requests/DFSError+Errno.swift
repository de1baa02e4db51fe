internal import DFSCore
internal import Glibc

/// The one place where an error becomes an errno.
extension DFSError {
  /// - Parameter isChange: whether the operation would have changed something: with too few servers
  ///   the mount is read-only for it.
  func errno(isChange: Bool) -> Int32 {
    switch code {
    case .serversMissing: isChange ? EROFS : EIO
    default: code.errno
    }
  }
}

extension DFSError.Code {
  fileprivate var errno: Int32 {
    switch self {
    case .notFound: ENOENT
    case .exists: EEXIST
    case .notDirectory: ENOTDIR
    case .isDirectory: EISDIR
    case .notEmpty: ENOTEMPTY
    case .invalidArgument, .configuration: EINVAL
    case .nameTooLong: ENAMETOOLONG
    case .fileTooLarge: EFBIG
    case .noSpace: ENOSPC
    case .quotaExceeded: EDQUOT
    case .readOnly: EROFS
    case .notPermitted: EPERM
    case .accessDenied, .loginFailed: EACCES
    case .staleHandle: ESTALE
    case .noAttribute: ENODATA
    case .outOfRange: ERANGE
    case .tooManyLinks: EMLINK
    case .unsupported: EOPNOTSUPP
    case .loop: ELOOP
    case .busy: EBUSY
    case .crossDevice: EXDEV
    case .wouldBlock: EAGAIN
    case .deadlock: EDEADLK
    case .noLocks: ENOLCK
    case .timedOut: ETIMEDOUT
    case .cancelled: EINTR
    case .incomplete, .serversMissing, .disconnected, .damaged, .protocolViolation, .superseded,
      .locksLost, .inputOutput:
      EIO
    }
  }
}

extension DFSError {
  /// Whether it says that an inode or entry is not there (any more).
  var isAbsence: Bool { code == .notFound || code == .staleHandle }

  /// Any error as ours.
  init(anyError error: any Error) {
    switch error {
    case let known as DFSError: self = known
    case is CancellationError: self.init(.cancelled, "the call was interrupted")
    default: self.init(.inputOutput, "\(error)")
    }
  }
}
