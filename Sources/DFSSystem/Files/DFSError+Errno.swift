public import DFSCore
internal import Glibc

/// The one place where an errno becomes an error of ours; the other direction is in DFSMount.
extension DFSError {
  /// What the operating system refused of a local file, in its words.
  /// - Parameters:
  ///   - fact: what could not be done, with the name of the file.
  ///   - number: nil is errno.
  ///   - remedy: what to do, from its separator on.
  public static func system(
    _ fact: String, _ number: Int32? = nil, remedy: String = ""
  ) -> DFSError {
    let number = number ?? errno
    return DFSError(
      Code(localError: number), "\(fact): \(String(cString: strerror(number)))\(remedy)")
  }

  /// What it refused of a file whose name nobody gave, such as a server's or a mount's own: only what it
  /// says of the disk counts.
  public static func disk(_ fact: String, _ number: Int32? = nil) -> DFSError {
    let number = number ?? errno
    return DFSError(Code(systemError: number), "\(fact): \(String(cString: strerror(number)))")
  }
}

extension DFSError.Code {
  /// What an errno says of a disk. What it says of names is no answer about a user's files: a server may
  /// send this to its clients.
  public init(systemError number: Int32) {
    self =
      switch number {
      case ENOSPC: .noSpace
      case EDQUOT: .quotaExceeded
      case EROFS: .readOnly
      case EACCES, EPERM: .accessDenied
      case EFBIG: .fileTooLarge
      case ENOENT: .notFound
      // The process lacks something for the moment, which says nothing of the disk.
      case EMFILE, ENFILE, ENOMEM, EAGAIN: .busy
      default: .inputOutput
      }
  }

  /// What an errno says of local files and directories.
  init(localError number: Int32) {
    self =
      switch number {
      case EEXIST: .exists
      case ENOTDIR: .notDirectory
      case EISDIR: .isDirectory
      case ENOTEMPTY: .notEmpty
      case ENAMETOOLONG: .nameTooLong
      case ELOOP: .loop
      case EBUSY: .busy
      default: Self(systemError: number)
      }
  }
}
