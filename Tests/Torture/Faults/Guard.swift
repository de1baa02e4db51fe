import DFSTestSupport
import Foundation
import Glibc

/// The one way in which a run is taken down, however it ends: a process that waits until the run's
/// own process is gone or says that it is over, and then kills every process that names the run's
/// directory in its words or its environment, unmounts what is mounted in it, and removes it.
///
/// Invariant: nothing is removed while anything is mounted below the directory.
struct Guard: Sendable {
  private let process: ChildProcess
  private let channel: Int32

  static func start(over directory: String) throws -> Guard {
    let ends = try Channel()
    let process = try ChildProcess.start(
      Programs.own, ["--guard", directory], input: .descriptor(ends.theirs), output: .descriptor(1),
      errors: .descriptor(2))
    close(ends.theirs)
    return Guard(process: process, channel: ends.ours)
  }

  /// Takes the run down and waits for that.
  /// - Parameter keeps: leaves the directory.
  func end(keeps: Bool) {
    if keeps { _ = write(channel, "k", 1) }
    close(channel)
    process.wait()
  }

  // MARK: In the guard's process

  static func run(over directory: String) {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { signal(number, SIG_IGN) }
    var byte: UInt8 = 0
    var keeps = false
    while read(0, &byte, 1) > 0 { keeps = true }
    // Who is just being started shows in the second look.
    var quietLooks = 0
    for _ in 0..<100 where quietLooks < 2 {
      let found = processes(naming: directory)
      for process in found { kill(process, SIGKILL) }
      let mounts = mounts(below: directory)
      for mount in mounts { unmount(mount) }
      quietLooks = found.isEmpty && mounts.isEmpty ? quietLooks + 1 : 0
      usleep(100_000)
    }
    guard !keeps, mounts(below: directory).isEmpty else { return }
    // A run that was interrupted may just be making a file.
    for _ in 0..<20 where FileManager.default.fileExists(atPath: directory) {
      try? FileManager.default.removeItem(atPath: directory)
      usleep(50_000)
    }
  }

  private static func processes(naming directory: String) -> [pid_t] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { pid_t($0) }.filter { process in
      guard process != getpid(), state(of: process) != "Z" else { return false }
      return ["cmdline", "environ"].contains { file in
        let words = FileManager.default.contents(atPath: "/proc/\(process)/\(file)") ?? Data()
        return String(decoding: words, as: UTF8.self).contains(directory)
      }
    }
  }

  /// The letter of /proc; that of one that is gone is Z, as of one that nobody has waited for.
  static func state(of process: pid_t) -> String {
    let line = FileManager.default.contents(atPath: "/proc/\(process)/stat") ?? Data()
    let words = String(decoding: line, as: UTF8.self).split(separator: ")").last
    return words?.split(separator: " ").first.map(String.init) ?? "Z"
  }

  private static func mounts(below directory: String) -> [String] {
    let table = FileManager.default.contents(atPath: "/proc/self/mounts") ?? Data()
    return String(decoding: table, as: UTF8.self).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      return words.count > 1 && words[1].hasPrefix(directory + "/") ? String(words[1]) : nil
    }
  }

  /// By force first: that ends the kernel's connection, also of a process that was killed and does
  /// not end, so that whoever waits for its answers goes on.
  static func unmount(_ path: String) {
    if geteuid() == 0 {
      umount2(path, Int32(MNT_FORCE))
      umount2(path, Int32(MNT_DETACH))
    } else {
      _ = try? ChildProcess.start("/usr/bin/fusermount3", ["-u", "-z", path]).wait()
    }
  }
}

/// Where the programs are: beside this one.
enum Programs {
  static let own =
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  static func path(_ name: String) -> String {
    URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
  }
}
