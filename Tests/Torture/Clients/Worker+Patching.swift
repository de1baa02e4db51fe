import CLinux
import Glibc

/// Changing a file in place.
extension Worker {
  mutating func patch(_ command: WorkerCommand, in directory: Int32) {
    let opened = call("open") { Int(openat(directory, command.name, O_RDWR | O_CLOEXEC)) }
    guard let opened else { return }
    let file = Int32(opened)
    pause(command)
    let isWritten = patch(file, command)
    if isWritten, command.isDurable { call("fsync") { Int(fsync(file)) } }
    let isClosed = call("close") { Int(close(file)) } != nil
    if isWritten, isClosed { noteLayers(command.name, in: directory) }
  }

  /// - Returns: whether it has written something.
  private mutating func patch(_ file: Int32, _ command: WorkerCommand) -> Bool {
    guard let bytes = content(of: file, command) else { return false }
    find(bytes)
    answer.below = answer.content
    let found = Content.finding(in: bytes)
    guard let chain = Content.chain(of: command.number, over: found, size: bytes.count) else {
      return false
    }
    for (place, piece) in Content.patch(chain, size: bytes.count) {
      let count = call("write") {
        piece.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(place)) }
      }
      guard let count else { return true }
      if count != piece.count { answer.wrong = "a write that was cut short" }
    }
    let expected = Content.patched(chain, size: bytes.count)
    (answer.md5, answer.size) = (Content.md5(of: expected), expected.count)
    lseek(file, 0, SEEK_SET)
    if let now = content(of: file, command), now != expected {
      answer.wrong = "other bytes than content \(chain) has"
    }
    return true
  }

  private mutating func noteLayers(_ name: String, in directory: Int32) {
    var value = [UInt8](repeating: 0, count: 64)
    let path = "/proc/self/fd/\(directory)/\(name)"
    let count = call("getxattr") { getxattr(path, "user.dfs.settled", &value, value.count) }
    answer.hasLayers = count.map { value[..<$0].starts(with: Array("no".utf8)) } ?? false
  }
}
