public import DFSCore
internal import DFSSystem
internal import Glibc

/// Whose directory it is: `DIR/.dfs/identity`, lines of a key and a value (docs/FORMATS.md).
public struct StoreIdentity: Hashable, Sendable {
  /// The format of the directory that this program writes. The first one knows no clusters.
  public static let currentFormat = 2

  /// The format of the file that was read, or `currentFormat`.
  public let format: Int
  /// The server's name, as DFS1.
  public let name: String
  /// The cluster's name; the directory is refused under another one.
  public let cluster: String
  /// 32 hexadecimal digits, random, never changed.
  public let id: String
  /// The cluster, once the server has joined one; never changed then.
  public let clusterID: ClusterID?

  private static let limit = 4096

  /// Whether the file that it was read from has a check; those of early releases have none.
  let isChecked: Bool

  private var lines: String {
    "format \(format)\nname \(name)\ncluster \(cluster)\nid \(id)\n"
      + (clusterID.map { "cluster-id \($0)\n" } ?? "")
  }

  var text: String { lines + "check \(Self.check(of: Array(lines.utf8)[...]))\n" }

  private static func check(of bytes: ArraySlice<UInt8>) -> String {
    BlockChecksum.of(Array(bytes)).value.bigEndianBytes.hexadecimal
  }

  init(newName name: String, cluster: String) throws(DFSError) {
    for (what, text) in [("server", name), ("cluster", cluster)] {
      let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
      guard isPlain, (1...255).contains(text.utf8.count) else {
        throw DFSError(
          .configuration,
          "'\(text.printable)' is not a name of a \(what): 1 to 255 bytes, no blanks or controls")
      }
    }
    format = Self.currentFormat
    self.name = name
    self.cluster = cluster
    id = VersionID.random().description
    clusterID = nil
    isChecked = true
  }

  /// The same server as this program writes it, of a cluster.
  private init(_ old: StoreIdentity, _ clusterID: ClusterID?) {
    format = Self.currentFormat
    name = old.name
    cluster = old.cluster
    id = old.id
    self.clusterID = clusterID
    isChecked = true
  }

  /// Whether the file is as this program writes it.
  var isCurrent: Bool { isChecked && format == Self.currentFormat }

  /// The same, as this program writes it.
  var current: StoreIdentity { StoreIdentity(self, clusterID) }

  /// The same, of a cluster.
  func joined(_ clusterID: ClusterID) -> StoreIdentity { StoreIdentity(self, clusterID) }

  /// Reads the identity file; nil if there is none.
  package static func read(_ path: String) throws(DFSError) -> StoreIdentity? {
    let file: File
    do {
      file = try File(path, flags: O_RDONLY)
    } catch {
      if error.code == .notFound { return nil }
      throw error
    }
    let length = try file.length()
    guard length <= UInt64(limit) else { throw unreadable(path) }
    let bytes = try file.read(count: Int(length), at: 0)
    return try StoreIdentity(bytes: bytes, path: path)
  }

  /// The check is proved first, so that a damaged file is not taken for one of another server or of
  /// a newer format. A file without one has exactly the lines of early releases.
  private init(bytes: [UInt8], path: String) throws(DFSError) {
    let key = Array("check ".utf8)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let checked = lines.dropLast().last { $0.starts(with: key) }
    if let checked {
      let expected = "check \(Self.check(of: bytes[..<checked.startIndex]))\n"
      guard bytes[checked.startIndex...].elementsEqual(expected.utf8) else {
        throw Self.unreadable(path)
      }
    }
    // Only the first format may lack it.
    guard checked != nil || bytes.starts(with: Array("format 1\n".utf8)) else {
      throw Self.unreadable(path)
    }
    let words = String(decoding: bytes[..<(checked?.startIndex ?? bytes.endIndex)], as: UTF8.self)
    try self.init(text: words, isChecked: checked != nil, path: path)
  }

  private init(text: String, isChecked: Bool, path: String) throws(DFSError) {
    var fields: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 1)
      guard words.count == 2 else { throw Self.unreadable(path) }
      fields[words[0]] = words[1]
    }
    guard let format = fields["format"].flatMap({ Int($0) }) else { throw Self.unreadable(path) }
    guard (1...Self.currentFormat).contains(format) else {
      throw DFSError(
        .configuration,
        "\(path) has format \(format); this program knows formats up to \(Self.currentFormat): use a "
          + "newer release"
      )
    }
    guard let name = fields["name"], let cluster = fields["cluster"], let id = fields["id"],
      [UInt8](hexadecimal: String(id))?.count == 16
    else { throw Self.unreadable(path) }
    self.format = format
    self.name = String(name)
    self.cluster = String(cluster)
    self.id = String(id)
    clusterID = format == 1 ? nil : fields["cluster-id"].flatMap { ClusterID(hexadecimal: $0) }
    self.isChecked = isChecked
    guard text == lines else { throw Self.unreadable(path) }
  }

  private static func unreadable(_ path: String) -> DFSError {
    DFSError(
      .damaged,
      "\(path) is not as it was written; restore it, or set the directory aside and start empty: "
        + "it gets its rows from the other servers")
  }

  /// Refuses a directory of somebody else.
  func check(name: String, cluster: String, directory: String) throws(DFSError) {
    guard self.name == name else {
      throw DFSError(
        .configuration,
        "\(directory) belongs to server \(self.name), not \(name); start it under its own name")
    }
    guard self.cluster == cluster else {
      throw DFSError(
        .configuration,
        "\(directory) belongs to cluster '\(self.cluster)', not '\(cluster)'; use another directory"
      )
    }
  }

  /// Writes the file so that a crash leaves it whole or absent.
  func write(_ path: String) throws(DFSError) {
    let file = try File(path + ".new", flags: O_RDWR | O_CREAT | O_TRUNC)
    try Array(text.utf8).withBytes { bytes throws(DFSError) in
      try file.write(bytes, at: 0)
    }
    try file.sync()
    CrashPoint.reached(.identityWritten)
    try Disk.rename(path + ".new", path)
    CrashPoint.reached(.identityReplaced)
    try Disk.syncDirectory(Disk.parent(of: path))
  }
}
