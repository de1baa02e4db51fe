internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// The secret of one server from which come the salts of users who do not exist, where the users file
/// has none of its own (`# secret:`): `DIR/.dfs/login-secret`, 64 hexadecimal digits, made once. With
/// it a stranger is told the same salt for the same name after a restart and after a change of the
/// file, as of a user who is there.
enum LoginSecret {
  private static let bytes = 32

  /// Reads the secret, or makes it.
  /// - Throws: `inputOutput` and the like if it can be neither read nor written.
  static func ofServer(directory: String) throws(DFSError) -> [UInt8] {
    let path = directory + "/.dfs/login-secret"
    if let secret = read(path) { return secret }
    var generator = SystemRandomNumberGenerator()
    let secret = (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
    // One that a crash left half written is none, and is written over.
    let temporary = path + ".new"
    unlink(temporary.systemPath)
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let file = open(temporary.systemPath, flags, 0o600)
    guard file >= 0 else { throw failure("make", temporary) }
    defer { close(file) }
    let text = Array((secret.hexadecimal + "\n").utf8)
    guard (try? FileDescriptor(rawValue: file).writeWhole(text)) != nil, fsync(file) == 0,
      rename(temporary.systemPath, path.systemPath) == 0
    else { throw failure("write", path) }
    return secret
  }

  private static func read(_ path: String) -> [UInt8]? {
    let file = open(path.systemPath, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let whole = try? FileDescriptor(rawValue: file).readToEnd(limit: 2 * bytes + 1)
    guard let whole, whole.count == 2 * bytes + 1 else { return nil }
    let text = String(decoding: whole.prefix(2 * bytes), as: UTF8.self)
    return [UInt8](hexadecimal: text)
  }

  private static func failure(_ what: String, _ path: String) -> DFSError {
    .system("cannot \(what) \(path.printable)", remedy: "; see to the disk")
  }
}
