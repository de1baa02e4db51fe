import DFSCore
import DFSSystem
import Glibc

/// The lines of the prompt that are kept between sessions: a file that only its owner can read, in
/// the state directory of the XDG Base Directory Specification. Lines with passwords never get here.
/// All of this blocks, and failing is not an error: the prompt works without a history.
struct History: Sendable {
  private static let limit = 1_000

  private let path: String?

  init() {
    let state = ByteText.environment("XDG_STATE_HOME")
    let home = ByteText.environment("HOME").map { $0 + "/.local/state" }
    let isAbsolute = state?.utf8.first == UInt8(ascii: "/")
    path = (isAbsolute ? state : home).map { $0 + "/dfs/history" }
  }

  /// The last lines (`ByteText`), oldest first; the file is cut down to them.
  func load() -> [String] {
    guard let path, let file = try? OpenFile(LocalPath(path), O_RDONLY),
      let size = try? file.status().st_size, size < 16 << 20
    else { return [] }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }) ?? 0
    let lines = bytes.prefix(count).split(separator: UInt8(ascii: "\n"))
    let last = lines.suffix(Self.limit).map { ByteText.text(of: $0) }
    if lines.count > 2 * Self.limit { replace(by: last) }
    return last
  }

  func add(_ line: String) {
    guard let path else { return }
    try? ByteText.makeDirectories(ByteText.directory(of: path))
    append(line + "\n", O_APPEND, to: path)
  }

  private func replace(by lines: [String]) {
    guard let path else { return }
    let new = path + ".new"
    append(lines.map { $0 + "\n" }.joined(), O_TRUNC, to: new)
    rename(new.systemPath, path.systemPath)
  }

  private func append(_ text: String, _ flag: Int32, to path: String) {
    let flags = O_WRONLY | O_CREAT | O_NOFOLLOW | flag
    guard let file = try? OpenFile(LocalPath(path), flags, mode: 0o600) else { return }
    fchmod(file.descriptor, 0o600)
    let bytes = ByteText.bytes(of: text)
    try? bytes.withUnsafeBytes { try writeAll($0, to: file.descriptor, named: path) }
  }
}
