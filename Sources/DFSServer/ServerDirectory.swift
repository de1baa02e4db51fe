internal import DFSCore
internal import Glibc

/// Where a server keeps what it stores, and the name that follows from it.
struct ServerDirectory {
  /// Absolute, without links, dots and slashes at the end; the directory may not be there yet.
  let path: String
  /// The last component.
  let name: String

  /// - Throws: `configuration` if no name follows from the path.
  init(_ text: String) throws(DFSError) {
    path = text.isEmpty ? "" : try Self.resolved(text)
    name = String(path.split(separator: "/").last ?? "")
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isPlain, (1...64).contains(name.utf8.count) else {
      throw DFSError(
        .configuration,
        "'\(name.printable)' is no name of a server: a directory's name of 1 to 64 of A–Z a–z 0–9 "
          + ". _ -, such as DFS1")
    }
  }

  private static func resolved(_ text: String) throws(DFSError) -> String {
    if let real = real(text) { return real }
    var end = text[...]
    while end.count > 1, end.last == "/" { end.removeLast() }
    let name = end.split(separator: "/").last ?? ""
    guard let parent = real(UsersDisk.directory(of: String(end))) else {
      throw DFSError(
        .configuration,
        "\(text.printable): \(String(cString: strerror(errno))); make the directory above it first")
    }
    return (parent == "/" ? "" : parent) + "/" + name
  }

  private static func real(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }
}
