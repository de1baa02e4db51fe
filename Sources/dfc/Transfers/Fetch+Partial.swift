import DFSClient
import DFSCommandLine
import DFSCore
import Glibc

/// `get --partial`: files of which parts are missing, with what can be had of them.
extension Fetch {
  /// Appended to the name of a file that is not whole, so that nobody takes it for whole.
  static let partialSuffix = ".partial"

  /// Fetches what there is of a file and says what is missing.
  /// - Parameter suffix: appended to `local` if something is.
  /// - Throws: `Reported`, with the status of an incomplete file, if something is missing.
  func getPartial(
    _ inode: Inode, at path: RemotePath, to local: LocalPlace?, suffix: String
  ) async throws {
    var (inode, gaps) = (inode, Gaps())
    for attempt in 1...Self.attempts {
      gaps = try await partial(inode, to: local, suffix: suffix)
      let isLast = attempt == Self.attempts || local == nil
      // A file that was replaced meanwhile has another content, which may be whole.
      guard !gaps.isEmpty, !isLast, let now = try? await service.inode(inode.id, .current),
        now.version != inode.version
      else { break }
      inode = now
    }
    meter.finishFile()
    guard !gaps.isEmpty else { return try await tell(path, inode, local) }
    let destination = local.map { LocalPath($0.path.bytes + Array(suffix.utf8)) }
    try await tell(gaps, of: inode, path, destination)
    throw Reported(status: .incomplete)
  }

  private func partial(_ inode: Inode, to local: LocalPlace?, suffix: String) async throws -> Gaps {
    guard let version = inode.version else {
      try await fetch(inode, to: local)
      return Gaps()
    }
    let download = PartialDownload(Download(service: service, version: version, meter: meter))
    return try await service.pinning(version) {
      switch try await target(of: local, mode: inode.mode) {
      case .stream(let stream): try await download.write(to: stream)
      case .file(let file): try await download.write(to: file, suffix: suffix)
      }
    }
  }

  // MARK: What is said

  private func tell(
    _ gaps: Gaps, of inode: Inode, _ path: RemotePath, _ destination: LocalPath?
  ) async throws {
    let fetched = inode.size - gaps.bytes
    let place = destination.map { " to \($0)" } ?? ""
    // In one piece: other files may have something to say at the same time.
    let lines = gaps.all.map { gap in
      "\n  part \(gap.lack.part)\(gap.lack.place.suffix), bytes \(gap.range.lowerBound) to \(gap.range.upperBound - 1) "
        + "(\(gap.range.count)): \(gap.reasons.joined(separator: "; "))"
    }
    session.console.problem(
      "dfc: \(path): File is incomplete. \(fetched) of \(inode.size) bytes fetched\(place); "
        + "zeros stand for what is missing:" + lines.joined())
    guard results.isJSON(session), let destination else { return }
    var object = result(path, inode, destination)
    object["partial"] = true
    object["fetched"] = fetched
    object["missing"] = gaps.all.map(\.json)
    try await session.console.write(object.line())
  }
}

extension Gaps.Gap {
  /// Why each server that should have the bytes does not give them, in the order of the servers.
  fileprivate var reasons: [String] {
    lack.problems.keys.sorted().compactMap { server in
      guard let text = lack.problems[server]?.description else { return nil }
      return text.hasPrefix("\(server)") ? text : "\(server): \(text)"
    }
  }

  fileprivate var json: JSONObject {
    var object = JSONObject()
    object.set(lack.place)
    object["part"] = lack.part.number
    object["offset"] = range.lowerBound
    object["bytes"] = UInt64(range.count)
    object["servers"] = lack.problems.keys.sorted().map(\.description)
    object["reasons"] = reasons
    return object
  }
}
