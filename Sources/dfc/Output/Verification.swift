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
    inode.version.map { FileCheck.bytes(of: $0, everyCopy: everyCopy) } ?? 0
  }

  // MARK: What is said

  private func tell(_ path: RemotePath, _ verdict: FileCheck.Verdict) async throws {
    for copy in verdict.bad {
      if isJSON {
        try await session.console.write(copy.json(of: path).line())
      } else {
        try await session.console.line("\(path): \(copy.text)")
      }
    }
    for content in verdict.wrong {
      if isJSON {
        try await session.console.write(content.json(of: path).line())
      } else {
        try await session.console.line("\(path): \(content.text)")
      }
    }
  }

  func tell(_ tally: VerifyTally) async throws {
    if isJSON { return try await session.console.write(tally.json(at: .now).line()) }
    try await session.console.line("\(Timestamp.now.local): \(tally.text)")
  }
}

extension FileCheck.BadCopy {
  /// `part 2 on DFS3 is damaged from byte 262144 of the file, 65536 bytes: …`
  fileprivate var text: String {
    let state =
      switch fault {
      case .unreachable, .absent: "missing"
      case .damaged: "damaged"
      }
    let bytes = offset.map { " from byte \($0) of \(place.noun), \(badBytes) bytes" } ?? ""
    return "part \(part)\(place.suffix) on \(server) is \(state)\(bytes): \(problem)"
  }

  fileprivate func json(of path: RemotePath) -> JSONObject {
    var object = JSONObject.verify("copy", path)
    object.set(place)
    object["part"] = part.number
    object["server"] = server.description
    object["problem"] = fault.rawValue
    object["offset"] = offset
    if fault == .damaged { object["badBytes"] = badBytes }
    object["message"] = problem.description
    return object
  }
}

extension FileCheck.WrongContent {
  fileprivate var text: String {
    switch problem {
    case .md5(let wrong):
      "every part\(place.suffix) is as it was stored, but their MD5 is \(wrong), not that of \(place.noun)"
    case .index(let error):
      "it cannot be told where the bytes\(place.suffix) belong: \(error)"
    }
  }

  fileprivate func json(of path: RemotePath) -> JSONObject {
    var object = JSONObject.verify("file", path)
    object.set(place)
    switch problem {
    case .md5(let wrong):
      object["problem"] = "wrong MD5"
      object["md5"] = wrong.description
    case .index(let error):
      object["problem"] = "no index"
      object["message"] = error.description
    }
    return object
  }
}

extension ContentPlace {
  /// What an offset in it is an offset of.
  fileprivate var noun: String {
    switch self {
    case .whole: "the file"
    case .base: "the base"
    case .layer: "the layer"
    }
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
