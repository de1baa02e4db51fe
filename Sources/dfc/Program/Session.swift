import DFSClient
import DFSCommandLine
import DFSConfiguration
import DFSCore
import DFSSystem
import Logging

/// What the commands of one dfc process share: the configuration, the account, the connections.
///
/// Connections are made when a command first needs them, and kept. If they could not be made, the
/// next command tries again.
actor Session {
  nonisolated let configuration: ClientConfiguration
  nonisolated let console: Console
  nonisolated let isQuiet: Bool
  nonisolated let isJSON: Bool
  /// Where the commands come from: nothing may read standard input beside them.
  nonisolated let inputIsCommands: Bool

  private let user: UserName?
  private let source: PasswordSource?
  /// Who logs in unless a command says otherwise; found out when it is first needed.
  private var account: Credentials?
  private var clients: [Credentials: DFSClient] = [:]
  /// What was said of servers that refuse an account which others accept.
  private var saidRefusals: Set<String> = []
  private let logger: Logger

  init(
    _ configuration: ClientConfiguration, _ options: GlobalOptions, console: Console,
    inputIsCommands: Bool, logger: Logger
  ) {
    // Others would wait for a program that was there for a moment only.
    var configuration = configuration
    configuration.readLeases = false
    self.configuration = configuration
    self.console = console
    self.inputIsCommands = inputIsCommands
    self.logger = logger
    isQuiet = options.quiet
    isJSON = options.json
    user = options.user
    source = options.passwordSource
  }

  /// The service of the account that words of a command name, if they name one.
  func service(of account: Credentials?) async throws -> DFSClient {
    do {
      return try await service(account)
    } catch let error as DFSError where error.code == .loginFailed && account != nil {
      let user = account?.user.text ?? ""
      let status = report(error)
      console.problem("dfc: the second word, '\(user)', was read as a user name; see 'help put'")
      throw Reported(status: status)
    }
  }

  /// The service of an account: by default of the one that the options and the configuration name.
  func service(_ other: Credentials? = nil) async throws -> DFSClient {
    let credentials = if let other { other } else { try await defaultAccount() }
    if let client = clients[credentials] { return client }
    do {
      let client = try await DFSClient.connect(
        configuration, credentials: credentials, logger: logger)
      clients[credentials] = client
      await sayRefusals(of: client)
      return client
    } catch let error as DFSError where error.code == .loginFailed {
      // What was typed wrong is asked for again.
      if other == nil { account = nil }
      throw error
    }
  }

  /// The service, once every server is connected or known to be away: for what tells how each server is,
  /// where one that is only slow to connect must not pass for one that is gone.
  func patientService() async throws -> DFSClient {
    let service = try await service()
    await service.reconnect(within: .seconds(3))
    return service
  }

  /// Who logs in unless a command says otherwise.
  func defaultAccount() async throws -> Credentials {
    if let account { return account }
    let (configuration, user, source) = (configuration, user, source)
    let credentials = try await offload {
      try Credentials.of(configuration, user: user, source: source)
    }
    account = credentials
    return credentials
  }

  /// Whether a wrong password was typed, so that another may be.
  var canAskAgain: Bool {
    source == nil && configuration.password == nil && configuration.passwordFile == nil
  }

  /// An account that one server refuses and others accept takes that server away from this user,
  /// whatever the command does, and nothing else would say so.
  private func sayRefusals(of service: any ClusterStatus) async {
    for state in await service.serverStates() where state.problem?.code == .loginFailed {
      guard let problem = state.problem, saidRefusals.insert(problem.message).inserted else {
        continue
      }
      console.problem("dfc: \(problem.message)")
    }
  }

  func close() async {
    for client in clients.values {
      await sayRefusals(of: client)
      await client.close()
    }
    clients = [:]
  }

  // MARK: Problems

  /// Shows an error, as every command does.
  nonisolated func report(_ error: any Error, about subject: String? = nil) -> ExitStatus {
    let status = ExitStatus(ofCommand: error)
    if error is Reported { return status }
    let code = (error as? DFSError)?.code
    if code == .loginFailed {
      console.problem("Invalid Username/Password. Please try again.")
    } else if status != .interrupted {
      let text = "\(error)".printableLines
      let subject = subject.flatMap { text.names($0) ? nil : "\($0): " } ?? ""
      console.problem("dfc: \(subject)\(text)")
    }
    return status
  }

  /// Something worth knowing for who sits in front of it.
  nonisolated func note(_ text: String) {
    if console.isErrorTerminal, !isQuiet { console.problem(text) }
  }
}

extension String {
  /// Whether the text has `subject` as a word, not as a part of one.
  fileprivate func names(_ subject: String) -> Bool {
    hasPrefix(subject + ":") || contains("'\(subject)'") || contains(" \(subject) ")
  }
}
