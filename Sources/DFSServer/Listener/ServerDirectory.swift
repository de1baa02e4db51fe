internal import DFSCore
internal import DFSSystem
internal import Glibc

/// Where a server keeps what it stores, and the name that follows from it.
struct ServerDirectory {
  /// Absolute, without links, dots and slashes at the end, in UTF-8 (`ByteText.plainPath`); the
  /// directory may not be there yet.
  let path: String
  /// The last component.
  let name: String

  /// - Parameter text: the bytes of the path (`ByteText`).
  /// - Throws: `configuration` if no name follows from the path.
  init(_ text: String) throws(DFSError) {
    let resolved = text.isEmpty ? "" : try Self.resolved(text)
    name = String(resolved.split(separator: "/").last ?? "")
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
        "'\(name.printable)' is not a name of a server: a directory's name of 1 to 64 of A–Z a–z 0–9 "
          + ". _ -, such as DFS1")
    }
    path = try ByteText.plainPath(resolved)
  }

  private static func resolved(_ text: String) throws(DFSError) -> String {
    if let real = ByteText.real(text) { return real }
    var end = text[...]
    while end.utf8.count > 1, end.utf8.last == UInt8(ascii: "/") { end.unicodeScalars.removeLast() }
    let name = end.utf8.lastIndex(of: UInt8(ascii: "/")).map { end[end.utf8.index(after: $0)...] }
    guard let parent = ByteText.real(ByteText.directory(of: String(end))) else {
      throw DFSError(
        .configuration,
        "\(text.printable): \(String(cString: strerror(errno))); make the directory above it first")
    }
    return (parent == "/" ? "" : parent) + "/" + (name ?? end)
  }
}
