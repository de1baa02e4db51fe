import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSConfiguration
import DFSCore
import DFSSystem
import Glibc

/// Stores local files. Each replaces what has its name in one step, when it is whole.
struct Put: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "put", abstract: "Store files; - is standard input.",
    usage: """
      put FILE… [DIR/] [OPTIONS]
      put FILE USER PASSWORD
      put - NAME
      """,
    discussion: """
      Each FILE gets its own name in DIR, which ends with a slash and exists (mkdir makes it); by \
      default in the root. A name that is taken is replaced, in one step, when the whole content is \
      stored. '-' stores standard input under NAME. All servers must be up, else nothing is stored; \
      with 'Writes quorum' in the configuration three are enough.

      \(AccountWords.explanation)
      """)

  static let operands: [Operand] = [.local, .remote]

  @Flag(name: [.short, .long], help: "Store directories with all that is in them.")
  var recursive = false

  @OptionGroup var results: ResultOptions

  @Argument(
    help: ArgumentHelp("Local files, then the directory.", valueName: "word"), completion: .file())
  var words: [String]

  func validate() throws {
    if words.first == "-", words.count != 2 {
      throw ValidationError("standard input needs a name: put - NAME")
    }
  }

  static func mayBeKept(_ words: [String]) -> Bool { !AccountWords.mayHoldPassword(words) }

  func run(in session: Session) async throws {
    var (files, account, directory) = (words, nil as Credentials?, "/")
    if words[0] == "-" {
      return try await putStandardInput(as: try RemotePath(words[1]), in: session)
    }
    if let split = try AccountWords.split(words, ifAbsent: words.dropFirst()) {
      (files, account) = ([split.file], split.account)
    } else if files.count > 1, let last = files.last, last.hasSuffix("/"),
      try !recursive || LocalPath(last).status() == nil
    {
      directory = files.removeLast()
    }
    // What is not here needs no server to be refused.
    for file in files where try LocalPath(file).status() == nil {
      throw DFSError(
        .notFound,
        "there is no file \(file.printable)"
          + (file == files.last && files.count > 1
            ? "; a directory of the servers ends with /" : ""))
    }
    let service = try await session.service(of: account)
    try await Upload.requireServers(service, session.configuration)
    let upload = Upload(
      session: session, service: service, results: results,
      isSingle: files.count == 1 && !recursive)
    defer { upload.meter.end() }
    let path = try RemotePath(directory)
    let parent = try await path.resolve(on: upload.service)
    try await upload.put(
      files.map { LocalPath($0) }, into: parent.id, at: path, recursively: recursive)
    try upload.outcome.finish()
  }

  private func putStandardInput(as path: RemotePath, in session: Session) async throws {
    guard !session.inputIsCommands else {
      throw DFSError(.invalidArgument, "standard input is the list of commands; put a file")
    }
    let (directory, name) = try path.split()
    let service = try await session.service()
    try await Upload.requireServers(service, session.configuration)
    let upload = Upload(session: session, service: service, results: results, isSingle: true)
    defer { upload.meter.end() }
    let parent = try await directory.resolve(on: upload.service)
    upload.meter.expect(0, name)
    upload.meter.begin("reading")
    let (configuration, meter) = (session.configuration, upload.meter)
    let source = try await offload {
      try Spool.standardInput(configuration) { meter.advance($0) }
    }
    try await upload.store(source, mode: 0o644, as: name, in: parent.id, at: directory)
  }
}
