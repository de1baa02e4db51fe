import CLinux
import DFSTestSupport
import Foundation

/// What a person does on a mount, in a round of system calls. All may fail; none may hang.
enum MountWork {
  struct Mounted {
    let child: Child
    let place: String
  }

  /// Mounts, in the foreground of a child; nil where there is no FUSE.
  static func start(_ conf: String, _ place: String, _ files: String) throws -> Mounted? {
    guard FileManager.default.fileExists(atPath: "/dev/fuse") else { return nil }
    mkdir(place, 0o700)
    let child = try Child("dfs-mount", [conf, place, "-f"], files: files)
    let end = Date().addingTimeInterval(20)
    while !isMounted(place) {
      guard Date() < end, child.isRunning else {
        throw FuzzFailure("dfs-mount did not start: \(child.errors)")
      }
      usleep(20_000)
    }
    return Mounted(child: child, place: place)
  }

  static func isMounted(_ place: String) -> Bool {
    let table = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
    return table.contains(" \(place) ")
  }

  /// - Parameter kept: the content that the file `large` has.
  /// - Returns: what was wrong: a content that nobody wrote.
  @discardableResult
  static func round(_ place: String, kept: [UInt8]?) -> String? {
    var status = stat()
    var space = statvfs()
    statvfs(place, &space)
    for name in (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [] {
      lstat("\(place)/\(name)", &status)
    }
    let (file, moved) = ("\(place)/fuzz-\(getpid())", "\(place)/fuzz-moved")
    write(file, [UInt8](repeating: 1, count: 100))
    write(file, [UInt8](repeating: 2, count: 200_000))
    setxattr(file, "user.fuzz", "value", 5, 0)
    var buffer = [CChar](repeating: 0, count: 256)
    _ = listxattr(file, &buffer, buffer.count)
    _ = getxattr(file, "user.fuzz", &buffer, buffer.count)
    chmod(file, 0o640)
    truncate(file, 50)
    symlink("somewhere", "\(place)/link")
    _ = readlink("\(place)/link", &buffer, buffer.count)
    rename(file, moved)
    link(moved, "\(place)/second")
    mkdir("\(place)/directory", 0o755)
    rmdir("\(place)/directory")
    for name in ["link", "second", "fuzz-moved"] { unlink("\(place)/\(name)") }
    if let wrong = readHereAndThere("\(place)/large", kept) { return wrong }
    return read("\(place)/large").flatMap { content in
      guard let kept, content != kept else { return nil }
      return "the mount returned \(content.count) bytes that nobody wrote as 'large'"
    }
  }

  private static func write(_ path: String, _ bytes: [UInt8]) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { return }
    _ = Foundation.write(file, bytes, bytes.count)
    fsync(file)
    close(file)
  }

  /// A few bytes, from the end to the beginning.
  /// - Returns: what was wrong.
  private static func readHereAndThere(_ path: String, _ kept: [UInt8]?) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    for offset in stride(from: 2_900_000, to: 300_000, by: -600_000) {
      let count = pread(file, &buffer, buffer.count, offset)
      guard count > 0, let kept, offset + count <= kept.count else { continue }
      if buffer[..<count] != kept[offset..<offset + count] {
        return "the mount returned \(count) bytes at \(offset) that nobody wrote into 'large'"
      }
    }
    return nil
  }

  /// All of it; nil if that fails.
  private static func read(_ path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = Foundation.read(file, &buffer, buffer.count)
      guard count >= 0 else { return nil }
      guard count > 0 else { return bytes }
      bytes += buffer.prefix(count)
      // A server may say any size; the mount need not end.
      if bytes.count > 16 << 20 { return nil }
    }
  }
}
