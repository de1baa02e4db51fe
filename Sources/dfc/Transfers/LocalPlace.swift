import DFSCore
import DFSSystem
import Glibc

/// Where a file that is fetched goes.
struct LocalPlace: Sendable, CustomStringConvertible {
  /// For people, and for results.
  let path: LocalPath
  /// The open directory and the name in it, if a tree or a server chose the name: a symbolic link that is
  /// there is replaced. Nil: a person named the path, and a link leads where it leads.
  let entry: (directory: OutputDirectory, name: FileName)?

  init(_ path: LocalPath) {
    self.path = path
    entry = nil
  }

  init(_ name: FileName, in directory: OutputDirectory) {
    path = LocalPath(directory.place(name))
    entry = (directory, name)
  }

  var description: String { path.description }
}
