import ArgumentParser
import DFSCommandLine
import DFSConfiguration
import DFSCore
import DFSSystem
import Logging

/// The options of dfc itself; they stand before the command.
struct GlobalOptions: ParsableArguments, Sendable {
  @Option(
    name: .customLong("user"),
    help: ArgumentHelp("Log in as this user instead of the configuration's.", valueName: "name"),
    transform: { text in try wording { () throws(DFSError) in try UserName(text) } })
  var user: UserName?

  @Option(
    help: ArgumentHelp(
      "The password is the first line of this file, which only its owner can read.",
      valueName: "file"),
    completion: .file())
  var passwordFile: String?

  @Option(
    name: .customLong("password-fd"),
    help: ArgumentHelp(
      "The password is the next line of this open file descriptor.", valueName: "number"))
  var passwordDescriptor: Int32?

  @Option(
    help: ArgumentHelp(
      "The longest that one exchange with the servers may take: 2s to 3600s.",
      valueName: "duration"),
    transform: { text in
      try wording { () throws(DFSError) in try ClientConfiguration.callTimeout(text) }
    })
  var timeout: Int?

  @Flag(name: [.short, .long], help: "No progress bar, no notes.")
  var quiet = false

  @Flag(help: "Print the results of put, get, list, where and verify as JSON, an object a line.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "What to log on standard error.", valueName: "level"))
  var logLevel = Logger.Level.error

  func validate() throws {
    guard passwordFile == nil || passwordDescriptor == nil else {
      throw ValidationError("--password-file and --password-fd are both given; use one of them")
    }
  }

  var passwordSource: PasswordSource? {
    passwordFile.map(PasswordSource.file) ?? passwordDescriptor.map(PasswordSource.descriptor)
  }
}

/// The message of an error as ArgumentParser shows it.
private func wording<Value>(_ body: () throws(DFSError) -> Value) throws -> Value {
  do {
    return try body()
  } catch {
    throw ValidationError(error.message)
  }
}
