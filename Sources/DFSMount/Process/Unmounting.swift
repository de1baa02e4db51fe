public import DFSCore
internal import Foundation

/// `dfs-mount --unmount`.
public enum Unmounting {
  /// Unmounts, and waits until the process of the mount has stored what was written and ended.
  /// - Parameter lazily: though files be open, and without waiting for anything: the process of the
  ///   mount stores by itself what is written, and ends when the last file is closed.
  public static func run(
    _ path: String, lazily: Bool, within limit: Duration = .seconds(40)
  ) async throws(DFSError) {
    if lazily { return try await detachLazily(path) }
    let finding = try await Blocking.run(within: .seconds(5)) { () throws(DFSError) in
      do throws(DFSError) {
        return try Mountpoint.examine(path)
      } catch  where error.code == .notDirectory {
        return .free
      }
    }
    switch finding {
    case .free: throw nothing(path)
    case .stale:
      try await Blocking.run { () throws(DFSError) in
        try Mountpoint.detach(path, lazily: true)
      }
    case .mounted:
      let process = try await Blocking.run(within: .seconds(5)) { () throws(DFSError) in
        ServingProcess.of(path)
      }
      try await detach(path)
      if let process { try await waitForEnd(of: process, path, limit) }
    }
  }

  private static func nothing(_ path: String) -> DFSError {
    DFSError(.invalidArgument, "nothing is mounted on \(path.printable)")
  }

  /// The mount is not asked for anything, so it may be frozen.
  private static func detachLazily(_ path: String) async throws(DFSError) {
    try await Blocking.run { () throws(DFSError) in
      guard Mountpoint.isMounted(path) else { throw nothing(path) }
      try Mountpoint.detach(path, lazily: true)
    }
  }

  private static func detach(_ path: String) async throws(DFSError) {
    do {
      try await Blocking.run { () throws(DFSError) in
        try Mountpoint.detach(path, lazily: false)
      }
    } catch {
      guard error.code == .busy else { throw error }
      throw DFSError(
        .busy,
        "files on \(path.printable) are open, or it is a shell's directory; close them, or use --lazy",
        cause: error)
    }
  }

  private static func waitForEnd(
    of process: Int32, _ path: String, _ limit: Duration
  ) async throws(DFSError) {
    let end = ContinuousClock.now + limit
    while isServing(process) {
      guard ContinuousClock.now < end else {
        throw DFSError(
          .timedOut,
          "\(path.printable) is unmounted, but its process \(process) is still storing what was written"
        )
      }
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  private static func isServing(_ process: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else {
      return false
    }
    return stat.contains("(dfs-mount)") && !stat.contains("(dfs-mount) Z")
  }
}
