public import DFSCore
public import DFSSystem
internal import Foundation

/// Telling servers to die at a crash point (`CrashPoint`), while they run or when they start.
extension FourServers {
  /// Where processes write down at which point they die: lines `NAME PID`.
  public var crashLog: String { directory + "/crashes" }

  private func orderFile(_ server: ServerIndex) -> String { directory + "/\(server).crash" }

  func crashEnvironment(_ server: ServerIndex) -> [String: String] {
    ProcessInfo.processInfo.environment.merging([
      "DFS_CRASH_AT": "@" + orderFile(server), "DFS_CRASH_LOG": crashLog,
    ]) { $1 }
  }

  /// From now on the server dies when it comes to `point` for the `time`-th time.
  public func order(_ server: ServerIndex, toDieAt point: CrashPoint, time: Int) throws {
    try "\(point.rawValue):\(time)\n"
      .write(toFile: orderFile(server), atomically: true, encoding: .utf8)
  }

  /// It lives on.
  public func pardon(_ server: ServerIndex) {
    try? FileManager.default.removeItem(atPath: orderFile(server))
  }

  /// Who has died where: process by process.
  public func crashes() -> [Int32: CrashPoint] {
    let text = (try? String(contentsOfFile: crashLog, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").reduce(into: [:]) { crashes, line in
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2, let pid = Int32(words[1]) else { return }
      crashes[pid] = CrashPoint(rawValue: words[0])
    }
  }
}
