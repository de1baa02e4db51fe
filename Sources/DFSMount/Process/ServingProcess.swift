internal import CLinux
internal import DFSCore

/// The process that serves a mount, as the mount tells it: in an extended attribute of its root,
/// which is not listed.
enum ServingProcess {
  static let attribute = "user.dfs.process"

  /// Nil if what is mounted there does not tell. May block on a frozen mount.
  static func of(_ mountpoint: String) -> Int32? {
    var value = [CChar](repeating: 0, count: 32)
    guard getxattr(mountpoint.systemPath, attribute, &value, value.count - 1) > 0 else {
      return nil
    }
    let text = value.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return Int32(text)
  }
}
