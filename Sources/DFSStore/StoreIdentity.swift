internal import DFSCore
internal import Glibc

/// Whose directory it is: `DIR/.dfs/identity`, lines of a key and a value (docs/FORMATS.md).
public struct StoreIdentity: Hashable, Sendable {
  /// The format of the directory that this program reads and writes.
  public static let currentFormat = 1

  public let format: Int
  /// The server's name, as DFS1.
  public let name: String
  public let cluster: String
  /// 32 hexadecimal digits, random, never changed.
  public let id: String

  private static let bound = 4096

  var text: String { "format \(format)\nname \(name)\ncluster \(cluster)\nid \(id)\n" }

  init(newName name: String, cluster: String) throws(DFSError) {
    for (what, text) in [("server", name), ("cluster", cluster)] {
      let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
      guard isPlain, (1...255).contains(text.utf8.count) else {
        throw DFSError(
          .configuration,
          "'\(text.printable)' is no name of a \(what): 1 to 255 bytes, no blanks or controls")
      }
    }
    format = Self.currentFormat
    self.name = name
    self.cluster = cluster
    id = VersionID.random().description
  }

  /// Reads the identity file; nil if there is none.
  static func read(_ path: String) throws(DFSError) -> StoreIdentity? {
    let file: File
    do {
      file = try File(path, flags: O_RDONLY)
    } catch {
      if error.code == .notFound { return nil }
      throw error
    }
    let length = try file.length()
    guard length <= UInt64(bound) else { throw unreadable(path) }
    let bytes = try file.read(count: Int(length), at: 0)
    return try StoreIdentity(text: String(decoding: bytes, as: UTF8.self), path: path)
  }

  private init(text: String, path: String) throws(DFSError) {
    var fields: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 1)
      guard words.count == 2 else { throw Self.unreadable(path) }
      fields[words[0]] = words[1]
    }
    guard let format = fields["format"].flatMap({ Int($0) }) else { throw Self.unreadable(path) }
    guard format == Self.currentFormat else {
      throw DFSError(
        .configuration,
        "\(path) has format \(format); this program knows \(Self.currentFormat): use a newer release"
      )
    }
    guard let name = fields["name"], let cluster = fields["cluster"], let id = fields["id"],
      id.utf8.count == 32
    else { throw Self.unreadable(path) }
    self.format = format
    self.name = String(name)
    self.cluster = String(cluster)
    self.id = String(id)
  }

  private static func unreadable(_ path: String) -> DFSError {
    DFSError(
      .damaged,
      "\(path) cannot be read as an identity; restore it, or set the directory aside and start empty: "
        + "it is refilled from the other servers")
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
    try Array(text.utf8).withUnsafeBytesOrError { bytes throws(DFSError) in
      try file.write(bytes, at: 0)
    }
    try file.sync()
    CrashPoint.reached(.identityWritten)
    try FileSystem.rename(path + ".new", path)
    CrashPoint.reached(.identityReplaced)
    try FileSystem.syncDirectory(FileSystem.parent(of: path))
  }
}
