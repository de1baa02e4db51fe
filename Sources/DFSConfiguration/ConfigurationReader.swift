internal import DFSCore

/// Reads the text of dfc.conf (conf/dfc.conf documents every key).
///
/// A line is a keyword, white space or one colon (or both), and a value. Keywords are read in any
/// case of letters, with or without their hyphens. Empty lines and lines that begin with `#` say
/// nothing; after white space a `#` begins a comment too, except in a password, which is the whole
/// rest of its line.
///
/// Invariant: every problem of the file is found and reported with its line, in one error.
struct ConfigurationReader {
  /// The keys, as conf/dfc.conf spells them.
  enum Key: String, CaseIterable {
    case server = "Server"
    case cluster = "Cluster"
    case encryption = "Encryption"
    case username = "Username"
    case password = "Password"
    case passwordFile = "Password-File"
    case writes = "Writes"
    case cacheDirectory = "Cache-Directory"
    case spoolSize = "Spool-Size"
    case spoolMemory = "Spool-Memory"
    case readCache = "Read-Cache"
    case cachedRows = "Cached-Rows"
    case callTimeout = "Call-Timeout"
    case connectTimeout = "Connect-Timeout"
    case hedge = "Hedge"
    case heal = "Heal"
    case healRate = "Heal-Rate"
    case readLeases = "Read-Leases"

    init?(word: some StringProtocol) {
      let plain = Self.plain(word)
      if plain == "user" {
        self = .username
      } else if let key = Self.allCases.first(where: { Self.plain($0.rawValue) == plain }) {
        self = key
      } else {
        return nil
      }
    }

    private static func plain(_ word: some StringProtocol) -> String {
      word.lowercased().filter { $0 != "-" && $0 != "_" }
    }
  }

  private struct Problem {
    let line: Int?
    let text: String
  }

  private let path: String
  private var problems: [Problem] = []
  private var lines: [Key: Int] = [:]
  private var servers: [ServerIndex: (address: ServerAddress, line: Int)] = [:]
  private var configuration = ClientConfiguration(servers: [])

  private init(path: String) { self.path = path }

  /// - Parameters:
  ///   - text: all bytes of the file (`ByteText`).
  ///   - path: for messages, and what relative paths in the file start from.
  /// - Throws: `configuration`, with every problem on a line of its own.
  static func read(_ text: String, path: String) throws(DFSError) -> ClientConfiguration {
    var reader = ConfigurationReader(path: path)
    let lines = text.split(omittingEmptySubsequences: false) {
      $0 == "\n" || $0 == "\r\n" || $0 == "\r"
    }
    for (index, line) in lines.enumerated() { reader.take(line: line, number: index + 1) }
    return try reader.finish()
  }

  private mutating func take(line: Substring, number: Int) {
    let line = line.trimmed(of: { $0.isWhitespace || $0 == "\u{feff}" })
    guard !line.isEmpty, !line.hasPrefix("#") else { return }
    let word = line.prefix { !$0.isWhitespace && $0 != ":" }
    guard let key = Key(word: word) else {
      let keys = Key.allCases.map(\.rawValue).joined(separator: ", ")
      return note(number, "unknown key '\(String(word).printable)'; the keys are \(keys)")
    }
    if key != .server, let first = lines.updateValue(number, forKey: key) {
      return note(number, "\(key.rawValue) was given on line \(first) already; remove one of them")
    }
    do throws(DFSError) {
      try set(key, Self.value(of: key, after: line[word.endIndex...]), number)
    } catch {
      note(number, error.message)
    }
  }

  /// What follows a keyword: without the separator, and without a comment but in a password.
  private static func value(of key: Key, after rest: Substring) throws(DFSError) -> Substring {
    var value = rest.drop { $0.isWhitespace }
    if value.first == ":" { value = value.dropFirst().drop { $0.isWhitespace } }
    if key != .password {
      var previous: Character = " "
      let comment = value.firstIndex { character in
        defer { previous = character }
        return character == "#" && previous.isWhitespace
      }
      value = value[..<(comment ?? value.endIndex)].trimmed(of: \.isWhitespace)
    }
    guard !value.isEmpty else {
      throw DFSError(.configuration, "\(key.rawValue) has no value; give one or remove the line")
    }
    return value
  }

  private mutating func set(_ key: Key, _ value: Substring, _ line: Int) throws(DFSError) {
    // Only paths need not be text.
    let isPath = key == .passwordFile || key == .cacheDirectory
    guard let text = isPath ? String(value) : ByteText.unicode(value) else {
      throw DFSError(.configuration, "\(key.rawValue) is not text in UTF-8; convert the file")
    }
    let setting = ConfigurationValue(key: key.rawValue, text: text)
    switch key {
    case .server: try set(server: setting, line)
    case .cluster: configuration.cluster = try setting.name()
    case .encryption: configuration.encryption = try setting.choice(of: Encryption.self)
    case .username: configuration.user = try UserName(setting.text)
    case .password: configuration.password = setting.text
    case .passwordFile: configuration.passwordFile = setting.path(besides: path)
    case .writes: configuration.writes = try setting.choice(of: WritePolicy.self)
    case .cacheDirectory: configuration.cacheDirectory = setting.path(besides: path)
    case .spoolSize: configuration.spoolBytes = try setting.bytes(in: ConfigurationLimits.spool)
    case .spoolMemory:
      configuration.spoolMemoryBytes = Int(try setting.bytes(in: ConfigurationLimits.spoolMemory))
    case .readCache:
      configuration.readCacheBytes = Int(try setting.bytes(in: ConfigurationLimits.readCache))
    case .cachedRows: configuration.cachedRows = try setting.count(in: ConfigurationLimits.rows)
    case .callTimeout:
      configuration.callTimeoutSeconds = try setting.seconds(in: ConfigurationLimits.call)
    case .connectTimeout:
      configuration.connectTimeoutSeconds = try setting.seconds(in: ConfigurationLimits.connect)
    case .heal: configuration.heals = try setting.choice(of: Switch.self) == .on
    case .healRate:
      configuration.healBytesPerSecond = Int(try setting.bytes(in: ConfigurationLimits.healRate))
    case .readLeases: configuration.readLeases = try setting.choice(of: Switch.self) == .on
    case .hedge:
      configuration.hedgeMilliseconds = try setting.milliseconds(in: ConfigurationLimits.hedge)
    }
  }

  private mutating func set(server value: ConfigurationValue, _ line: Int) throws(DFSError) {
    let (index, address) = try value.server()
    if let first = servers[index] {
      throw DFSError(
        .configuration,
        "server \(index) was given on line \(first.line) already; remove one of them")
    }
    let other = servers.values.first {
      $0.address.host == address.host && $0.address.port == address.port
    }
    if let other {
      throw DFSError(
        .configuration,
        "server \(index) has the address of \(other.address.name) on line \(other.line); "
          + "each server listens on an address of its own")
    }
    servers[index] = (address, line)
  }

  private mutating func note(_ line: Int?, _ text: String) {
    problems.append(Problem(line: line, text: text))
  }

  private mutating func finish() throws(DFSError) -> ClientConfiguration {
    for server in ServerIndex.all where servers[server] == nil {
      note(nil, "no server \(server); add a line 'Server \(server) HOST:PORT'")
    }
    if lines[.password] != nil, let line = lines[.passwordFile] {
      note(line, "Password and Password-File are both given; remove one of them")
    }
    if configuration.encryption == .off,
      let pinned = servers.values.filter({ $0.address.fingerprint != nil }).map(\.line).min()
    {
      note(
        pinned,
        "a fingerprint is of no use with Encryption off; remove it, or the line Encryption off")
    }
    guard problems.isEmpty else {
      let text = problems.map { problem in
        "\(path.printable):\(problem.line.map { "\($0):" } ?? "") \(problem.text)"
      }
      throw DFSError(.configuration, text.joined(separator: "\n"))
    }
    configuration.servers = ServerIndex.all.compactMap { servers[$0]?.address }
    return configuration
  }
}

extension StringProtocol {
  /// Without the characters at both ends for which `isDropped`.
  func trimmed(of isDropped: (Character) -> Bool) -> SubSequence {
    var rest = self[...].drop(while: isDropped)
    while let last = rest.last, isDropped(last) { rest.removeLast() }
    return rest
  }
}
