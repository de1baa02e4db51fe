public import DFSCore
internal import DFSSystem
internal import Glibc

/// Where dfc.conf is.
extension ClientConfiguration {
  /// The configuration if none is named: the file that DFS_CONF names, else the first that is there of
  /// ~/.config/dfs/dfc.conf and /etc/dfs/dfc.conf.
  /// - Throws: `configuration` if there is none.
  public static func standardPath() throws(DFSError) -> String {
    try standardPath(environment: ByteText.environment) { path in
      access(path.systemPath, F_OK) == 0
    }
  }

  /// - Parameters:
  ///   - environment: the value of a variable; nil if it is unset or empty.
  ///   - exists: whether there is a file of that name.
  static func standardPath(
    environment: (String) -> String?, exists: (String) -> Bool
  ) throws(DFSError) -> String {
    if let named = environment("DFS_CONF") { return named }
    let home = environment("HOME").map { $0 + "/.config/dfs/dfc.conf" }
    let places = [home, "/etc/dfs/dfc.conf"].compactMap { $0 }
    guard let place = places.first(where: exists) else {
      throw DFSError(
        .configuration,
        "no configuration is named, DFS_CONF is not set, and there is neither "
          + places.map(\.printable).joined(separator: " nor ")
          + "; name dfc.conf first on the command line")
    }
    return place
  }
}
