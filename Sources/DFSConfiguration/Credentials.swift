public import DFSCore
public import DFSSystem

/// Who logs in, with what, and where that comes from.

/// What a client logs in with.
public struct Credentials: Hashable, Sendable {
  /// The account, and so the namespace.
  public let user: UserName
  /// In clear; it is never sent (`ScramClient`).
  public let password: String

  /// Credentials that somebody gives; `of` finds them where the configuration says.
  public init(user: UserName, password: String) {
    self.user = user
    self.password = password
  }
}

extension Credentials {
  /// Who logs in, and with what.
  ///
  /// The password comes from `source` if there is one; else from the configuration (its password,
  /// then its password file) if that is of the same user; else it is asked for on the terminal.
  /// - Parameter user: instead of the configuration's.
  public static func of(
    _ configuration: ClientConfiguration, user: UserName? = nil, source: PasswordSource? = nil
  ) throws(DFSError) -> Credentials {
    guard let name = user ?? configuration.user else {
      throw DFSError(
        .configuration, "no user is named; add a line 'Username NAME' to the configuration")
    }
    let isConfigured = configuration.user == nil || configuration.user == name
    if source == nil, isConfigured, let password = configuration.password {
      return Credentials(user: name, password: password)
    }
    let configured = isConfigured ? configuration.passwordFile.map(PasswordSource.file) : nil
    let asked = PasswordSource.terminal(prompt: "Password of \(name): ")
    return Credentials(user: name, password: try (source ?? configured ?? asked).read())
  }
}

/// Who logs in, and where the password may be read again after a server refused it.
public struct RenewableCredentials: Sendable {
  /// What to log in with first.
  public let credentials: Credentials
  private let reread: @Sendable () throws(DFSError) -> Credentials?

  /// A password that no file says: there is nothing to be read again.
  public init(_ credentials: Credentials) {
    self.credentials = credentials
    reread = { () throws(DFSError) in nil }
  }

  /// - Parameters:
  ///   - path: of the configuration, which may name the password or its file.
  ///   - passwordFile: instead of those.
  public init(_ credentials: Credentials, configuration path: String, passwordFile: String?) {
    self.credentials = credentials
    reread = { () throws(DFSError) in
      let configuration = try ClientConfiguration.read(path: path)
      let isThere = configuration.password != nil || configuration.passwordFile != nil
      let isTheirs = configuration.user == nil || configuration.user == credentials.user
      guard passwordFile != nil || isThere && isTheirs else { return nil }
      return try Credentials.of(
        configuration, user: credentials.user, source: passwordFile.map(PasswordSource.file))
    }
  }

  /// What the files say now. Blocks.
  /// - Returns: nil if no file says it: the password was typed.
  /// - Throws: as `PasswordSource.read`.
  public func renewed() throws(DFSError) -> Credentials? { try reread() }
}
