import DFSClient
import DFSCore
import DFSSystem

/// One run of `verify`: walks the files, checks several at a time, and says of each copy that is not
/// good what is wrong with it.
struct Verification: Sendable {
  /// Files under way at once: enough to keep four servers answering, and little beside what others
  /// ask of them.
  private static let width = 4

  let session: Session
  let service: any FileService & ClusterAdministration
  let everyCopy: Bool
  let isJSON: Bool
  let meter: Meter

  func run(_ paths: [RemotePath]) async throws -> VerifyTally {
    if meter.isShown { try await expect(paths) }
    var walk = try await FileWalk(paths, on: service)
    var tally = VerifyTally(everyCopy: everyCopy)
    let check = FileCheck(
      on: service, everyCopy: everyCopy, progress: { meter.advance(Int($0)) })
    while true {
      let files = try await walk.next()
      if files.isEmpty { break }
      try await inOrder(files, width: Self.width) { file in
        (file.path, try await check.run(file.inode))
      } take: { path, verdict in
        meter.finishFile()
        guard let verdict else { return }
        tally.add(verdict)
        try await tell(path, verdict)
      }
    }
    let down = await service.serverStates().filter { !$0.isUp }.map(\.server)
    tally.down = ServerSet(down)
    return tally
  }

  /// Counts what is to be read, for the bar.
  private func expect(_ paths: [RemotePath]) async throws {
    var walk = try await FileWalk(paths, on: service)
    while true {
      let files = try await walk.next()
      if files.isEmpty { return }
      for file in files { meter.expect(bytes(of: file.inode), file.path) }
    }
  }

  private func bytes(of inode: Inode) -> UInt64 {
    inode.version.map { VersionCheck.bytes(of: $0, everyCopy: everyCopy) } ?? 0
  }

  // MARK: What is said

  private func tell(_ path: RemotePath, _ verdict: VersionCheck.Verdict) async throws {
    for copy in verdict.bad {
      if isJSON {
        try await session.console.write(copy.json(of: path).line())
      } else {
        try await session.console.line("\(path): \(copy.text)")
      }
    }
    guard let wrong = verdict.wrongMD5 else { return }
    if isJSON {
      var object = JSONObject.verify("file", path)
      object["problem"] = "wrong MD5"
      object["md5"] = wrong.description
      return try await session.console.write(object.line())
    }
    try await session.console.line(
      "\(path): every part is as it was stored, but their MD5 is \(wrong), not the file's")
  }

  func tell(_ tally: VerifyTally) async throws {
    if isJSON { return try await session.console.write(tally.json(at: .now).line()) }
    try await session.console.line("\(Timestamp.now.local): \(tally.text)")
  }
}

extension VersionCheck.BadCopy {
  /// `part 2 on DFS3 is damaged from byte 262144 of the file, 65536 bytes: …`
  fileprivate var text: String {
    let state =
      switch fault {
      case .unreachable, .absent: "missing"
      case .damaged: "damaged"
      }
    let place = offset.map { " from byte \($0) of the file, \(badBytes) bytes" } ?? ""
    return "part \(part) on \(server) is \(state)\(place): \(problem)"
  }

  fileprivate func json(of path: RemotePath) -> JSONObject {
    var object = JSONObject.verify("copy", path)
    object["part"] = part.number
    object["server"] = server.description
    object["problem"] = fault.rawValue
    object["offset"] = offset
    if fault == .damaged { object["badBytes"] = badBytes }
    object["message"] = problem.description
    return object
  }
}

extension JSONObject {
  fileprivate static func verify(_ kind: String, _ path: RemotePath) -> JSONObject {
    var object = JSONObject()
    object["command"] = "verify"
    object["kind"] = kind
    object.set("name", path.bytes)
    return object
  }
}
