import ArgumentParser
import DFSClient
import DFSConfiguration
import DFSCore
import DFSSystem
import Glibc

/// Fetches files. A file here appears, or is replaced, when its whole content was verified.
struct Get: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Fetch files; - is standard output.",
    usage: """
      get FILE… [DEST] [OPTIONS]
      get FILE USER PASSWORD
      get FILE -
      """,
    discussion: """
      DEST is a local directory, a name for a single FILE, or '-' for standard output; by default \
      the current directory. After several FILEs the last word is DEST, a directory (such as '.'). \
      Nothing is left of a file that could not be fetched whole. Nothing is written outside of a \
      destination directory: a symbolic link in it that has the name of a file is replaced, and one in the \
      place of a directory is refused. A link that DEST itself is, is followed.

      A file that was changed in place a short time ago is not settled: the MD5 of the whole is not known \
      yet. Every block of it is compared with its checksum, and it is said that this was all.

      With --partial, what can be had of a file is fetched though parts or blocks of it have no good \
      copy on the servers that are up. Each byte is at its place, zeros (holes) stand for what is \
      missing, and it is said what that is, and why. Unless DEST names the file, '.partial' is \
      appended to its name. A file that turns out to be whole is verified and gets its own name. \
      The exit status is 4 if something is missing.

      \(AccountWords.explanation)
      """)

  static let operands: [Operand] = [.remote, .local]

  @Flag(name: [.short, .long], help: "Fetch directories with all that is in them.")
  var recursive = false

  @Flag(help: "Fetch what there is of files that are not whole.")
  var partial = false

  @OptionGroup var results: ResultOptions

  @Argument(
    help: ArgumentHelp("Files of the servers, then the destination.", valueName: "word"),
    completion: .file())
  var words: [String]

  static func mayBeKept(_ words: [String]) -> Bool { !AccountWords.mayHoldPassword(words) }

  func run(in session: Session) async throws {
    var (files, account, destination) = (words, nil as Credentials?, LocalPath("."))
    if let split = try AccountWords.split(words, ifAbsent: words.dropFirst(2)), words[2] != "-" {
      (files, account) = ([split.file], split.account)
    } else if files.count > 1 {
      destination = LocalPath(files.removeLast())
    }
    let paths = try files.map { file throws(DFSError) in try RemotePath(file) }
    let target = try Target(destination, files: paths.count, recursive: recursive)
    let fetch = try await Fetch(
      session: session, service: session.service(of: account), results: results,
      isSingle: paths.count == 1 && !recursive, isPartial: partial)
    defer { fetch.meter.end() }
    for path in paths {
      try await fetch.outcome.of(path.text) {
        let inode = try await path.resolve(on: fetch.service)
        if recursive, inode.kind == .directory {
          try await fetch.getTree(inode, at: path, to: target.tree(path))
        } else {
          try await fetch.getFile(
            inode, at: path, to: target.file(path), suffix: target.partialSuffix)
        }
      }
    }
    try fetch.outcome.finish()
  }

  /// Where files go.
  enum Target {
    case stream
    case directory(LocalPath)
    /// A new name, or an old file, for the one thing that is fetched.
    case name(LocalPath)

    init(_ destination: LocalPath, files: Int, recursive: Bool) throws(DFSError) {
      if destination.bytes == Array("-".utf8) {
        guard !recursive else {
          throw DFSError(.invalidArgument, "a tree cannot go to standard output")
        }
        self = .stream
      } else if try destination.status()?.isDirectory == true {
        self = .directory(destination)
      } else if files == 1, !destination.endsWithSlash || recursive {
        self = .name(destination)
      } else {
        throw DFSError(
          .notDirectory, "there is no directory \(destination); make it, or end with '.'")
      }
    }

    /// nil is standard output.
    func file(_ path: RemotePath) throws(DFSError) -> LocalPlace? {
      switch self {
      case .stream: nil
      case .directory(let directory):
        LocalPlace(try path.split().name, in: try OutputDirectory.open(directory.text))
      case .name(let name): LocalPlace(name)
      }
    }

    /// A name that was given is meant, whatever is in the file.
    var partialSuffix: String {
      if case .name = self { "" } else { Fetch.partialSuffix }
    }

    /// The root has no name: what is in it goes into the directory itself.
    func tree(_ path: RemotePath) throws(DFSError) -> Fetch.TreePlace {
      switch self {
      case .stream: throw DFSError(.invalidArgument, "a tree cannot go to standard output")
      case .directory(let directory):
        path.steps.isEmpty ? .contents(directory) : .entry(directory, try path.split().name)
      case .name(let name): .named(name)
      }
    }
  }
}
