internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
internal import DFSServer

/// `dfs user set`: what a user may take of a server.
extension User {
  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Set what a user may take of each server: quota=SIZE, connections=NUMBER.",
      discussion: """
        SIZE is bytes, or a number with K, M, G or T, of copies and tables on one server; a file takes \
        half of its size on each. `none` takes a limit away. Servers follow within seconds.
        """)
    @Argument var name: String
    @Argument(help: "quota=SIZE or connections=NUMBER") var limits: [String] = []
    @OptionGroup var file: File

    func run() async throws {
      try await reporting {
        let name = try User.existing(name, file)
        let text = try UsersDisk.change(file.path) { users throws(DFSError) in
          var all = users.limits[name] ?? UserLimits()
          try all.set(limits)
          try users.set(name, limits: all)
          return all.description
        }
        print("\(name): \(text)")
      }
    }
  }
}
