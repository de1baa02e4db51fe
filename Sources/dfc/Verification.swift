import DFSClient
import DFSCore

/// One run of `verify`: walks the files, checks several at a time, and says of each copy that is not
/// good what is wrong with it.
struct Verification: Sendable {
  /// Files under way at once: enough to keep four servers answering, and little beside what others
  /// ask of them.
  private static let width = 4
  /// How often a file that is replaced while it is checked is begun again.
  private static let attempts = 5

  let session: Session
  let service: any FileService
  let everyCopy: Bool
  let isJSON: Bool
  let meter: Meter

  private struct Checked: Sendable {
    let path: RemotePath
    let verdict: VersionCheck.Verdict
  }

  func run(_ paths: [RemotePath]) async throws -> VerifyTally {
    if meter.isShown { try await expect(paths) }
    var walk = try await FileWalk(paths, on: service)
    var tally = VerifyTally(everyCopy: everyCopy)
    while true {
      let files = try await walk.next()
      if files.isEmpty { break }
      try await inOrder(files, width: Self.width) { file in
        try await check(file)
      } take: { checked in
        guard let checked else { return }
        tally.add(checked.verdict)
        try await tell(checked)
        meter.finishFile()
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

  // MARK: One file

  /// - Returns: nil for a file that is removed meanwhile.
  private func check(_ file: FileWalk.File) async throws -> Checked? {
    var (inode, attempt) = (file.inode, 1)
    while true {
      let verdict = try await check(inode)
      if verdict.isGood { return Checked(path: file.path, verdict: verdict) }
      // Perhaps another content took its place, and the copies were no longer needed.
      let now: Inode
      do {
        now = try await service.inode(inode.id, .current)
      } catch let error as DFSError where [.staleHandle, .notFound].contains(error.code) {
        return nil
      }
      guard now.version != inode.version, attempt < Self.attempts else {
        return Checked(path: file.path, verdict: verdict)
      }
      (inode, attempt) = (now, attempt + 1)
    }
  }

  private func check(_ inode: Inode) async throws -> VersionCheck.Verdict {
    guard let version = inode.version else { return VersionCheck.Verdict() }
    let check = VersionCheck(
      version, on: service, everyCopy: everyCopy, progress: { meter.advance(Int($0)) })
    // A small file is read at once; telling every server to keep it would take longer.
    if version.split.isInline { return try await check.run() }
    return try await service.holding(version) { try await check.run() }
  }

  // MARK: What is said

  private func tell(_ checked: Checked) async throws {
    for copy in checked.verdict.bad {
      if isJSON {
        try await session.console.write(copy.json(of: checked.path).line())
      } else {
        try await session.console.line("\(checked.path): \(copy.text)")
      }
    }
    guard let wrong = checked.verdict.wrongMD5 else { return }
    if isJSON {
      var object = JSONObject.verify("file", checked.path)
      object["problem"] = "wrong MD5"
      object["md5"] = wrong.description
      return try await session.console.write(object.line())
    }
    try await session.console.line(
      "\(checked.path): every part is as it was stored, but their MD5 is \(wrong), not the file's")
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
    object["name"] = path.description
    return object
  }
}
