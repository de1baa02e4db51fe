internal import ArgumentParser
internal import DFSCore
internal import DFSServer

/// `dfs user …`: who may log in.
struct User: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Add, remove, list and convert users.",
    discussion: """
      Servers read the file again when it changes. A password is asked for on the terminal, or \
      read from the first line of standard input or of --password-file; it is never an argument.

      \(ExitStatus.help)
      """,
    subcommands: [Add.self, Remove.self, Passwd.self, Set.self, List.self, Convert.self])

  struct File: ParsableArguments {
    @Option(name: .customLong("users"), help: "The users file.", completion: .file())
    var path = "dfs.conf"
  }

  struct Password: ParsableArguments {
    @Option(
      name: .customLong("password-file"), help: "Read the password from this file's first line.",
      completion: .file())
    var path: String?

    func text(of name: UserName) throws -> String {
      try PasswordInput.read(file: path, user: name)
    }
  }

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add a user.")
    @Argument(help: "1 to 64 of A–Z a–z 0–9 . _ @ -") var name: String
    @OptionGroup var file: File
    @OptionGroup var password: Password

    func run() async throws {
      try await reporting {
        let name = try UserName(name)
        let refusal = DFSError(
          .exists, "'\(name)' is in \(file.path.printable) already; run: dfs user passwd \(name)")
        guard try !UsersDisk.read(file.path).contains(name) else { throw refusal }
        let password = try password.text(of: name)
        try UsersDisk.change(file.path) { users throws(DFSError) in
          guard !users.contains(name) else { throw refusal }
          try users.set(name, password: password)
        }
        print("added \(name) to \(file.path.printable)")
      }
    }
  }

  struct Passwd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Set a user's password.")
    @Argument var name: String
    @OptionGroup var file: File
    @OptionGroup var password: Password

    func run() async throws {
      try await reporting {
        let name = try UserName(name)
        guard try UsersDisk.readExisting(file.path).contains(name) else {
          throw User.missing(name, file)
        }
        let password = try password.text(of: name)
        try UsersDisk.change(file.path) { users throws(DFSError) in
          try users.set(name, password: password)
        }
        print("set the password of \(name) in \(file.path.printable)")
      }
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove a user. What the user has stored stays on the servers.")
    @Argument var name: String
    @OptionGroup var file: File

    func run() async throws {
      try await reporting {
        let name = try UserName(name)
        guard try UsersDisk.readExisting(file.path).contains(name) else {
          throw User.missing(name, file)
        }
        _ = try UsersDisk.change(file.path) { $0.remove(name) }
        print("removed \(name) from \(file.path)")
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the users; exit status 1 if NAME is none.")
    @Argument(help: "Only this one.") var name: String?
    @OptionGroup var file: File

    func run() async throws {
      try await reporting {
        let users = try UsersDisk.readExisting(file.path)
        for problem in users.problems {
          StandardError.write("dfs: \(file.path.printable): \(problem)\n")
        }
        let wanted = try name.map { try UserName($0) }
        if let wanted, !users.contains(wanted) { throw User.missing(wanted, file) }
        let readable = Swift.Set(users.usersWithPasswords)
        for name in users.names where wanted == nil || name == wanted {
          print(readable.contains(name) ? "\(name) (readable password)" : "\(name)")
        }
      }
    }
  }

  struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Replace readable passwords by verifiers, and close the file to others.")
    @OptionGroup var file: File

    func run() async throws {
      try await reporting {
        _ = try UsersDisk.readExisting(file.path)
        let count = try UsersDisk.change(file.path) { users throws(DFSError) in try users.convert()
        }
        print("converted \(count) of the users in \(file.path.printable)")
      }
    }
  }

  static func missing(_ name: UserName, _ file: File) -> DFSError {
    DFSError(
      .notFound,
      "'\(name)' is not in \(file.path.printable); run: dfs user list --users \(file.path.printable)"
    )
  }
}
