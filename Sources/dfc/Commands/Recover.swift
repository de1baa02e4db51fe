import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSConfiguration
import DFSCore
import DFSSystem
import Glibc

/// Brings back what a mount could not store.
struct Recover: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "recover", abstract: "Bring back what a mount could not store.",
    usage: "recover [ID… | --all] [--drop] [OPTIONS]",
    discussion: """
      What a mount could not store when the file was closed, or when it was unmounted, is kept in \
      the cache directory (Cache-Directory) of this machine. Without an ID this lists it. A file that \
      was changed or removed meanwhile is left as it is: what is brought back gets a name beside it, \
      'NAME (recovered DATE)'. Of a file whose other bytes the mount could not read, only what was written is \
      kept: it is brought back if the file is still what it was. What was brought back is kept no longer. \
      --all takes what a mount of this \
      cluster kept; what a release before 1.1 kept does not say of which it is, and is named by its ID.
      """)

  @Argument(help: ArgumentHelp("What to bring back; as the list shows it.", valueName: "id"))
  var ids: [String] = []

  @Flag(help: "Everything that is kept for this user.")
  var all = false

  @Flag(help: "Forget it instead of bringing it back.")
  var drop = false

  @OptionGroup var results: ResultOptions

  func validate() throws {
    guard !(all && !ids.isEmpty) else { throw ValidationError("give --all or IDs, not both") }
    guard !drop || all || !ids.isEmpty else { throw ValidationError("--drop needs IDs, or --all") }
  }

  func run(in session: Session) async throws {
    let configuration = session.configuration
    let cache = try ByteText.plainPath(configuration.cache.examine())
    let keeping = KeptFiles(cache: cache, limit: configuration.spoolBytes)
    let kept = try await offload { try keeping.list() }
    guard all || !ids.isEmpty else { return try await list(kept, in: session) }
    let owner = "\(try await session.defaultAccount().user)@\(configuration.cluster)"
    let mine = kept.filter { $0.owner == owner }
    // Another cluster may have the same name, users and passwords.
    let namespace = mine.isEmpty ? nil : try await session.service().namespaceID
    let outcome = Outcome(of: "recover", in: session, isJSON: results.isJSON(session))
    for id in all ? mine.filter({ $0.isOf(namespace) != false }).map(\.id) : ids {
      try await outcome.of(id) {
        guard let file = mine.first(where: { $0.id == id }) else {
          throw DFSError(.notFound, "nothing of \(owner) is kept under this ID; 'recover' lists it")
        }
        guard file.isOf(namespace) != false else {
          throw DFSError(
            .configuration,
            "\(id) was kept by a mount of another cluster or namespace (\(file.namespace ?? "")), not of this "
              + "one (\(namespace?.description ?? "none yet")); name that one's configuration")
        }
        guard !all || file.isOf(namespace) != nil else {
          throw DFSError(
            .invalidArgument,
            "\(id) does not say of which cluster it is (a release before 1.1 kept it), and is left; if it is "
              + "of this one, name it: recover \(id)")
        }
        if drop {
          try await offload { try keeping.remove(file) }
          try await tell(file, "dropped", file.path, in: session)
        } else {
          try await restore(file, keeping, in: session)
        }
      }
    }
    try outcome.finish()
  }

  private func restore(
    _ file: KeptFile, _ keeping: KeptFiles, in session: Session
  ) async throws {
    let meter = results.meter(session, isSingle: true, verb: "storing")
    defer { meter.end() }
    meter.expect(file.size, file.path.printable)
    meter.begin("reading")
    let source = try await offload {
      let source = try FileSource(LocalPath(keeping.dataPath(of: file)))
      return file.missing == nil ? try source.hashed { meter.advanceBeside($0) } : source
    }
    meter.begin("storing")
    let service = try await session.service()
    try await Upload.requireServers(service, session.configuration)
    let (name, isBeside) = try await keeping.restore(
      file, source, on: service, date: Timestamp.now.local.replacing(":", with: "."),
      progress: meter.absolute())
    meter.end()
    try await offload { try keeping.remove(file) }
    let isBelow = file.path.utf8.contains(UInt8(ascii: "/"))
    let path = (isBelow ? ByteText.directory(of: file.path) + "/" : "") + name.text
    try await tell(file, isBeside ? "beside" : "recovered", path, in: session)
  }

  // MARK: What is said

  private func list(_ kept: [KeptFile], in session: Session) async throws {
    for file in kept { try await tell(file, "kept", file.path, in: session) }
    if kept.isEmpty, !results.isQuiet(session) { session.note("nothing is kept") }
  }

  private func tell(
    _ file: KeptFile, _ state: String, _ path: String, in session: Session
  ) async throws {
    let kept = Timestamp(nanoseconds: file.kept)
    guard results.isJSON(session) else {
      let what =
        switch state {
        case "kept": "\(kept.local)  \(lack(of: file))\(file.reason.printable)"
        case "beside": "recovered; its file was changed meanwhile, and is left as it is"
        default: state
        }
      return try await session.console.line(
        "\(file.id)  \(Progress.size(file.size))  \(path.printable)  \(what)")
    }
    var object = JSONObject()
    object["command"] = "recover"
    object["id"] = file.id
    object["state"] = state == "beside" ? "recovered" : state
    object.set("name", ByteText.bytes(of: path))
    object["owner"] = file.owner
    object["size"] = file.size
    object["kept"] = kept.universal
    object["reason"] = file.reason
    object["missing"] = file.missingBytes
    try await session.console.write(object.line())
  }

  private func lack(of file: KeptFile) -> String {
    let size = Progress.size(file.missingBytes)
    return file.missing == nil ? "" : "without \(size) that only the version before has: "
  }
}
