public import DFSCore
internal import DFSWire

/// The text of a users file (docs/OPERATIONS.md): one user a line, `NAME VERIFIER` with a verifier
/// as in PostgreSQL, and behind it the user's limits (`UserLimits`), or the old `NAME PASSWORD`. Lines that begin with `#` are comments; the one
/// that begins with `# secret:` seeds the salts that users who do not exist seem to have.
///
/// A line that cannot be read is kept, reported with its number, and does not harm the others.
public struct UsersFile: Sendable {
  /// Bytes of a users file; more are not read.
  public static let bytesLimit = 16 << 20

  enum Secret: Hashable, Sendable {
    case verifier(ScramVerifier)
    /// An old line.
    case password(String)
  }

  /// A line that cannot be read, or that is a second one for its user.
  public struct Problem: Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    public let line: Int
    /// What is wrong, and what to do about it.
    public let message: String
    public var description: String { "line \(line): \(message)" }
  }

  private enum Line: Sendable {
    case user(UserName, Secret, UserLimits)
    case other(String)

    var text: String {
      switch self {
      case .user(let name, .verifier(let verifier), let limits):
        "\(name) \(verifier.text)\(limits.text)"
      case .user(let name, .password(let password), _): "\(name) \(password)"
      case .other(let text): text
      }
    }

    /// Whether this is a line of that user, readable or not.
    func names(_ name: UserName) -> Bool {
      switch self {
      case .user(let user, _, _): user == name
      case .other(let text): text.split(whereSeparator: \.isWhitespace).first ?? "" == name.text
      }
    }
  }

  private static let secretPrefix = "# secret: "

  private var lines: [Line] = []
  /// What was found as the text was read, in the order of its lines.
  public private(set) var problems: [Problem] = []

  /// An empty file.
  public init() {}

  /// Reads a whole file; what is wrong with its lines is in `problems`.
  public init(text: String) {
    var seen: Set<UserName> = []
    var rows = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    if rows.last?.isEmpty == true { rows.removeLast() }
    for (index, row) in rows.enumerated() {
      do throws(DFSError) {
        let line = try Self.line(String(row))
        if case .user(let name, _, _) = line, !seen.insert(name).inserted {
          throw DFSError(.configuration, "'\(name)' was on an earlier line, which is the one used")
        }
        lines.append(line)
      } catch {
        lines.append(.other(String(row)))
        problems.append(Problem(line: index + 1, message: error.message))
      }
    }
  }

  /// The whole file as it is now, for writing.
  public var text: String { lines.map { $0.text + "\n" }.joined() }

  /// In the order of the file.
  public var names: [UserName] { users.map(\.name) }

  var users: [(name: UserName, secret: Secret)] {
    lines.compactMap { if case .user(let name, let secret, _) = $0 { (name, secret) } else { nil } }
  }

  /// Of each user that can be read; on the first line of several.
  public var limits: [UserName: UserLimits] {
    lines.reduce(into: [:]) { all, line in
      if case .user(let name, _, let limits) = line { all[name] = all[name] ?? limits }
    }
  }

  /// Whether there is a line for this user, even if it cannot be read.
  public func contains(_ name: UserName) -> Bool { index(of: name) != nil }

  /// Users whose password is readable in the file.
  public var usersWithPasswords: [UserName] {
    users.compactMap { if case .password = $0.secret { $0.name } else { nil } }
  }

  // MARK: Changing

  /// Replaces a user's line (and drops further ones), or appends one.
  /// - Parameter iterations: of SCRAM; nil for as many as this release makes.
  /// - Throws: `invalidArgument` if they are fewer than 15,000 or more than 1,000,000.
  public mutating func set(
    _ name: UserName, password: String, iterations: Int? = nil
  ) throws(DFSError) {
    let iterations = iterations ?? ScramVerifier.defaultIterations
    guard (ScramVerifier.leastIterations...ScramVerifier.iterationsLimit).contains(iterations)
    else {
      throw DFSError(
        .invalidArgument,
        "\(iterations) iterations; the limits are \(ScramVerifier.leastIterations) to "
          + "\(ScramVerifier.iterationsLimit)")
    }
    set(name, try ScramVerifier(password: password, iterations: iterations))
  }

  /// Replaces readable passwords by verifiers.
  /// - Returns: how many there were.
  public mutating func convert(iterations: Int? = nil) throws(DFSError) -> Int {
    ensureSecret()
    var count = 0
    for case (let name, .password(let password)) in users {
      try set(name, password: password, iterations: iterations)
      count += 1
    }
    return count
  }

  private mutating func set(_ name: UserName, _ verifier: ScramVerifier) {
    ensureSecret()
    let kept = limits[name] ?? UserLimits()
    let place = index(of: name) ?? lines.endIndex
    lines.removeAll { $0.names(name) }
    lines.insert(.user(name, .verifier(verifier), kept), at: place)
  }

  /// Sets what a user may take.
  /// - Throws: `configuration` if the user's line has a readable password: limits stand behind a
  ///   verifier.
  public mutating func set(_ name: UserName, limits: UserLimits) throws(DFSError) {
    let place = index(of: name)
    if let place, case .other = lines[place] {
      let what = problems.first { $0.line == place + 1 }.map { "\($0)" } ?? "line \(place + 1)"
      throw DFSError(
        .configuration,
        "the line of '\(name)' cannot be read (\(what)); mend it by hand, or run dfs user passwd \(name)"
      )
    }
    guard let place, case .user(_, .verifier(let verifier), _) = lines[place] else {
      throw DFSError(
        .configuration,
        "the line of '\(name)' has no verifier; run dfs user convert first, or dfs user passwd \(name)"
      )
    }
    lines[place] = .user(name, .verifier(verifier), limits)
  }

  /// - Returns: whether the user was there.
  public mutating func remove(_ name: UserName) -> Bool {
    let isThere = contains(name)
    lines.removeAll { $0.names(name) }
    return isThere
  }

  private func index(of name: UserName) -> Int? { lines.firstIndex { $0.names(name) } }

  private mutating func ensureSecret() {
    guard secret == nil else { return }
    var generator = SystemRandomNumberGenerator()
    let digits = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }.hexadecimal
    lines.insert(.other(Self.secretPrefix + digits), at: 0)
  }

  // MARK: Users who do not exist

  /// What the salts of users who do not exist come from: the line for it; nil if there is none.
  /// Servers that share the file answer alike.
  public var secret: [UInt8]? {
    for case .other(let text) in lines where text.hasPrefix(Self.secretPrefix) {
      return [UInt8](hexadecimal: String(text.dropFirst(Self.secretPrefix.count)).trimmed)
    }
    return nil
  }

  private static func line(_ text: String) throws(DFSError) -> Line {
    let trimmed = text.trimmed
    if trimmed.isEmpty || trimmed.hasPrefix("#") { return .other(text) }
    guard let end = trimmed.firstIndex(where: \.isWhitespace) else {
      throw DFSError(.configuration, "a name without a password; remove the line or set one")
    }
    let name = try UserName(String(trimmed[..<end]))
    let secret = String(trimmed[end...]).trimmed
    guard secret.hasPrefix("SCRAM-") else {
      return .user(name, .password(secret), UserLimits())
    }
    let words = secret.split(whereSeparator: \.isWhitespace)
    guard let verifier = ScramVerifier(text: String(words[0])) else {
      throw DFSError(
        .configuration,
        "the verifier of '\(name)' cannot be read; set the password again: dfs user passwd \(name)")
    }
    return .user(name, .verifier(verifier), try UserLimits(words.dropFirst()))
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }),
      let last = lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(self[first...last])
  }
}
