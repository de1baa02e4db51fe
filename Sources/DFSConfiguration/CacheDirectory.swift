public import DFSCore
internal import DFSSystem
internal import Glibc

/// The directory where what is being written is kept until the servers have it: which one it is, and
/// that nobody else can change what is in it.
///
/// What lies there is read back and stored (`dfc recover`), and files are made there by name: in a
/// directory that others can write to, or behind a link that they planted, they would choose what is
/// stored and what is overwritten.
public struct CacheDirectory: Hashable, Sendable {
  /// It may not be there yet.
  public let path: String
  /// Named in dfc.conf; then it may be a symbolic link.
  private let isConfigured: Bool

  /// The directory that dfc.conf names; else what systemd made for the unit (systemd.exec(5)), else
  /// `dfs` in the user's cache directory (XDG Base Directory Specification). root has one for the
  /// whole machine, so that a mount of fstab, one by hand and `dfc recover` find the same; who has
  /// no home gets one below /var/tmp.
  /// - Parameter environment: the value of a variable; nil if it is unset or empty.
  init(configured: String?, user: UInt32, environment: (String) -> String?) {
    isConfigured = configured != nil
    func absolute(_ path: String?) -> String? { path.flatMap { $0.hasPrefix("/") ? $0 : nil } }
    if let configured {
      path = configured
    } else if let made = environment("CACHE_DIRECTORY")?.split(separator: ":").first,
      let made = absolute(String(made))
    {
      path = made
    } else if let cache = absolute(environment("XDG_CACHE_HOME")) {
      path = cache + "/dfs"
    } else if user == 0 {
      path = "/var/cache/dfs"
    } else if let home = absolute(environment("HOME")) {
      path = home + "/.cache/dfs"
    } else {
      path = "/var/tmp/dfs-\(user)"
    }
  }

  /// Makes it, and the directories above it, if it is not there.
  /// - Returns: its path.
  /// - Throws: `configuration` if others could change what is in it.
  public func make() throws(DFSError) -> String {
    var status = stat()
    if lstat(path.systemPath, &status) != 0 {
      do {
        try ByteText.makeDirectories(path)
      } catch {
        throw refused("cannot be made: \(error)", .inputOutput)
      }
    }
    return try examine()
  }

  /// - Returns: its path, though nothing be there.
  /// - Throws: `configuration` if others could change what is in it.
  public func examine() throws(DFSError) -> String {
    var status = stat()
    guard lstat(path.systemPath, &status) == 0 else {
      if errno == ENOENT { return path }
      throw refused("cannot be looked at: \(String(cString: strerror(errno)))", .inputOutput)
    }
    let user = geteuid()
    let isLink = status.st_mode & S_IFMT == S_IFLNK
    if isLink, !isConfigured || status.st_uid != user && status.st_uid != 0 {
      throw refused(
        "is a symbolic link of user \(status.st_uid), and would lead elsewhere; remove it")
    }
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (isLink ? 0 : O_NOFOLLOW)
    let descriptor = open(path.systemPath, flags)
    guard descriptor >= 0 else {
      throw refused("cannot be opened: \(String(cString: strerror(errno)))", .inputOutput)
    }
    defer { close(descriptor) }
    guard fstat(descriptor, &status) == 0 else {
      throw refused("cannot be looked at: \(String(cString: strerror(errno)))", .inputOutput)
    }
    let word = SecretFile.shellQuoted(path)
    guard status.st_uid == user else {
      throw refused(
        "belongs to user \(status.st_uid), and this runs as user \(user); see what it is, then "
          + "remove it or run: chown \(user) \(word)")
    }
    guard status.st_mode & 0o022 == 0 else {
      throw refused("can be written to by others; see what is in it, then run: chmod 700 \(word)")
    }
    return path
  }

  private func refused(_ fact: String, _ code: DFSError.Code = .configuration) -> DFSError {
    DFSError(
      code,
      "the cache directory \(path.printable) \(fact); or name another directory: Cache-Directory in "
        + "dfc.conf")
  }
}

extension ClientConfiguration {
  /// Where spooled contents are kept.
  public var cache: CacheDirectory {
    CacheDirectory(
      configured: cacheDirectory, user: geteuid(), environment: { ByteText.environment($0) })
  }
}
