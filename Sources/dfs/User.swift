internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
internal import DFSServer

/// `dfs user …`: who may log in.
struct User: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Add, remove, list and convert users.",
    discussion: """
      Servers read the file again when it changes. A password is asked for on the terminal, or \
      read from the first line of standard input or of --password-file; it is never an argument. \
      --generate makes a strong one and prints it, alone on standard output.

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

    @Flag(help: "Make a strong password (120 random bits) and print it.")
    var generate = false

    func validate() throws {
      if generate, path != nil {
        throw ValidationError("--generate makes a password and --password-file has one; give one")
      }
    }

    func text(of name: UserName) throws -> String {
      generate ? PasswordInput.generated() : try PasswordInput.read(file: path, user: name)
    }

    /// Says what was done; a password that was made is all that standard output gets.
    func report(_ done: String, _ text: String) {
      guard generate else { return print(done) }
      StandardError.write(done + "; its password:\n")
      print(text)
    }
  }

  struct Hashing: ParsableArguments {
    @Option(
      help: """
        How often the password is hashed (15000 to 1000000): more makes a stolen users file harder to \
        guess from, and each login slower. (default: 100000)
        """)
    var iterations: Int?
  }

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add a user.")
    @Argument(help: "1 to 64 of A–Z a–z 0–9 . _ @ -") var name: String
    @OptionGroup var file: File
    @OptionGroup var password: Password
    @OptionGroup var hashing: Hashing

    func run() async throws {
      try await reporting {
        let name = try UserName(name)
        let refusal = DFSError(
          .exists, "'\(name)' is in \(file.path.printable) already; run: dfs user passwd \(name)")
        guard try !UsersDisk.read(file.path).contains(name) else { throw refusal }
        let text = try password.text(of: name)
        try UsersDisk.change(file.path) { users throws(DFSError) in
          guard !users.contains(name) else { throw refusal }
          try users.set(name, password: text, iterations: hashing.iterations)
        }
        password.report("added \(name) to \(file.path.printable)", text)
      }
    }
  }

  struct Passwd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Set a user's password.")
    @Argument var name: String
    @OptionGroup var file: File
    @OptionGroup var password: Password
    @OptionGroup var hashing: Hashing

    func run() async throws {
      try await reporting {
        let name = try User.existing(name, file)
        let text = try password.text(of: name)
        try UsersDisk.change(file.path) { users throws(DFSError) in
          try users.set(name, password: text, iterations: hashing.iterations)
        }
        password.report("set the password of \(name) in \(file.path.printable)", text)
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
        let name = try User.existing(name, file)
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
    @OptionGroup var hashing: Hashing

    func run() async throws {
      try await reporting {
        _ = try UsersDisk.readExisting(file.path)
        let count = try UsersDisk.change(file.path) { users throws(DFSError) in
          try users.convert(iterations: hashing.iterations)
        }
        print("converted \(count) of the users in \(file.path.printable)")
      }
    }
  }

  /// The name of a user that the file has.
  /// - Throws: `notFound` if there is no such user.
  static func existing(_ text: String, _ file: File) throws -> UserName {
    let name = try UserName(text)
    guard try UsersDisk.readExisting(file.path).contains(name) else { throw missing(name, file) }
    return name
  }

  private static func missing(_ name: UserName, _ file: File) -> DFSError {
    DFSError(
      .notFound,
      "'\(name)' is not in \(file.path.printable); run: dfs user list --users \(file.path.printable)"
    )
  }
}
