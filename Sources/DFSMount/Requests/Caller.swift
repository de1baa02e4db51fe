internal import DFSCore
internal import Foundation
internal import Glibc

/// Who asks.
struct Caller: Hashable, Sendable {
  let user: UInt32
  let group: UInt32
  let thread: Int32
}

/// What the process table tells of who asks; nothing here touches the mount.
extension Caller {
  /// Whether the thread was killed by a signal, and only waits for its answer to end.
  ///
  /// The kernel interrupts a request for any signal, but a call on a file is not expected to fail
  /// for a mere timer: so only a signal that kills counts.
  var isKilled: Bool { hasKillPending || endedBySignal }

  private var hasKillPending: Bool {
    guard let status = text("status"),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("SigPnd:") }),
      let mask = UInt64(line.dropFirst("SigPnd:".count).drop { $0 == "\t" }, radix: 16)
    else { return false }
    return mask & 1 << UInt64(SIGKILL - 1) != 0
  }

  /// Already ending: the last field of `stat` is its exit code.
  private var endedBySignal: Bool {
    guard let stat = text("stat"),
      let code = stat.split(whereSeparator: { $0 == " " || $0 == "\n" }).last.flatMap({ Int($0) })
    else { return false }
    return code & 0x7f != 0
  }

  /// Whether the process has another descriptor on this inode open for writing, so that another
  /// close will come: a shell's redirection opens, duplicates and closes before it writes.
  func hasWritableDescriptor(on inode: InodeID, mount: String) -> Bool {
    anyDescriptor { info, _ in
      guard Self.isOpen(inode, on: mount, info),
        let flags = Self.field("flags", info).flatMap({ Int32($0, radix: 8) })
      else { return false }
      return flags & O_ACCMODE != O_RDONLY
    }
  }

  /// Whether the process has this inode open, and so may ask for it by its descriptor; also if it
  /// cannot be told whose process it is.
  func hasDescriptor(on inode: InodeID) -> Bool {
    thread <= 0 || anyDescriptor { info, _ in Self.field("ino", info) == "\(inode)"[...] }
  }

  /// Where the process stands in a file, for each descriptor that it has of it; none if it cannot be looked at.
  /// Bytes.
  func positions(in inode: InodeID) -> [UInt64] {
    var positions: [UInt64] = []
    _ = anyDescriptor { info, _ in
      if Self.field("ino", info) == "\(inode)"[...],
        let position = Self.field("pos", info).flatMap({ UInt64($0) })
      {
        positions.append(position)
      }
      return false
    }
    return positions
  }

  /// A path to this inode itself, by a descriptor that the process has of it; nil if it cannot be looked at.
  /// - Parameter mount: the kernel's number of it.
  func path(to inode: InodeID, mount: String) -> String? {
    var path: String?
    _ = anyDescriptor { info, name in
      guard Self.isOpen(inode, on: mount, info) else { return false }
      path = "/proc/\(thread)/fd/\(name)"
      return true
    }
    return path
  }

  /// Whether a thread is of the same process.
  func isOfProcess(of other: Int32) -> Bool {
    thread > 0 && (thread == other || access("/proc/\(thread)/task/\(other)", F_OK) == 0)
  }

  /// - Parameter isOne: told what the process table says of each, and its number.
  private func anyDescriptor(_ isOne: (String, String) -> Bool) -> Bool {
    guard let list = opendir("/proc/\(thread)/fdinfo") else { return false }
    defer { closedir(list) }
    while let entry = readdir(list) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let info = text("fdinfo/\(name)"), isOne(info, name) { return true }
    }
    return false
  }

  private static func isOpen(_ inode: InodeID, on mount: String, _ info: String) -> Bool {
    field("ino", info) == "\(inode)"[...] && field("mnt_id", info) == mount[...]
  }

  private static func field(_ name: String, _ info: String) -> Substring? {
    let line = info.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return line?.dropFirst(name.utf8.count + 1).drop { $0 == "\t" || $0 == " " }
  }

  /// A file of the thread's in /proc.
  private func text(_ file: String) -> String? {
    guard thread > 0, let stream = fopen("/proc/\(thread)/\(file)", "r") else { return nil }
    defer { fclose(stream) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = fread(&buffer, 1, buffer.count, stream)
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}
