import DFSClient
import DFSCommandLine
import DFSCore
import Glibc

/// Files and trees of the servers on their way to the local disk.
struct Fetch: Sendable {
  /// How often a file that is replaced while it is fetched is begun again.
  static let attempts = 5

  let session: Session
  let service: any FileService & ClusterAdministration
  let results: ResultOptions
  let meter: Meter
  let outcome: Outcome
  /// Whether to fetch what there is of files that are not whole.
  let isPartial: Bool

  init(
    session: Session, service: any FileService & ClusterAdministration, results: ResultOptions,
    isSingle: Bool,
    isPartial: Bool
  ) {
    self.session = session
    self.isPartial = isPartial
    self.service = service
    self.results = results
    meter = results.meter(session, isSingle: isSingle, verb: "getting")
    outcome = Outcome(of: "get", in: session, isJSON: results.isJSON(session))
  }

  // MARK: One file

  /// - Parameters:
  ///   - local: nil is standard output.
  ///   - suffix: appended to `local` if the file is not whole and is fetched all the same.
  func getFile(
    _ inode: Inode, at path: RemotePath, to local: LocalPlace?, suffix: String = Fetch.partialSuffix
  ) async throws {
    guard inode.kind == .regular else {
      let isDirectory = inode.kind == .directory
      throw DFSError(
        isDirectory ? .isDirectory : .invalidArgument,
        isDirectory ? "is a directory; get -r fetches a tree" : "is not a regular file")
    }
    meter.expect(inode.size, path)
    meter.begin("getting")
    if isPartial { return try await getPartial(inode, at: path, to: local, suffix: suffix) }
    let fetched = try await content(of: inode, to: local)
    meter.finishFile()
    try await tell(path, fetched, local)
  }

  /// Fetches the version that the file has; if it is replaced meanwhile and its copies are gone,
  /// the one that it has then.
  private func content(of inode: Inode, to local: LocalPlace?) async throws -> Inode {
    var (inode, attempt) = (inode, 1)
    while true {
      do {
        try await fetch(inode, to: local)
        return inode
      } catch let error as DFSError where error.code != .noSpace {
        let now = try? await service.inode(inode.id, .current)
        if let now, now.version != inode.version, attempt < Self.attempts, local != nil {
          (inode, attempt) = (now, attempt + 1)
        } else if error.code == .incomplete, let version = inode.version {
          throw await Completeness.explanation(of: version, on: service, error)
        } else {
          throw error
        }
      }
    }
  }

  func fetch(_ inode: Inode, to local: LocalPlace?) async throws {
    let target = try await target(of: local, mode: inode.mode)
    guard let version = inode.version else {
      if case .file(let file) = target { try await offload { try file.commit() } }
      return
    }
    let download = Download(service: service, version: version, meter: meter)
    try await service.pinning(version) {
      switch target {
      case .stream(let stream): try await download.write(to: stream)
      case .file(let file): try await download.write(to: file)
      }
    }
  }

  /// Where the bytes of one file go.
  enum Target {
    case stream(ByteSink)
    case file(TemporaryFile)
  }

  /// A device or a pipe that a person named is written to; a directory refuses that.
  func target(of local: LocalPlace?, mode: UInt32) async throws -> Target {
    guard let local else { return .stream(.standardOutput) }
    return try await offload {
      if local.entry == nil, let status = try local.path.status(), !status.isRegular {
        return .stream(ByteSink(try OpenFile(local.path, O_WRONLY)))
      }
      return .file(try TemporaryFile(for: local, mode: mode))
    }
  }

  func tell(_ path: RemotePath, _ inode: Inode, _ local: LocalPlace?) async throws {
    if !results.isQuiet(session), local == nil || !results.isJSON(session) {
      if let local { session.note("\(local): \(Progress.size(inode.size))") }
      if let version = inode.version, version.md5 == nil {
        session.note(
          "\(path): not settled, so the MD5 of the whole is not known yet; every block was checked on its own"
        )
      }
    }
    guard let local, results.isJSON(session) else { return }
    var object = result(path, inode, local.path)
    if isPartial {
      object["partial"] = false
      object["fetched"] = inode.size
      object["missing"] = [JSONObject]()
    }
    try await session.console.write(object.line())
  }

  func result(_ path: RemotePath, _ inode: Inode, _ local: LocalPath) -> JSONObject {
    var object = JSONObject()
    object["command"] = "get"
    object.set("name", path.bytes)
    object.set("destination", local.bytes)
    object["size"] = inode.size
    object["md5"] = inode.version?.md5?.description
    object["settled"] = inode.version?.isSettled ?? true
    return object
  }
}
