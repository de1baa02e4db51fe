internal import DFSCore
internal import DFSWire
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Who may log in, as the users file says now: it is looked at on each login and read again when it
/// changed. Reading blocks, so it happens on a thread for that.
final class Users: Sendable {
  /// Exactly what one login needs.
  struct Answer: Sendable {
    /// Nil where there is no such user: then nothing that follows succeeds.
    let user: UserName?
    let verifier: ScramVerifier
  }

  private struct Known: Sendable {
    var path: String?
    var stamp: UsersDisk.Stamp?
    var verifiers: [UserName: ScramVerifier] = [:]
    var bounds: [UserName: UserBounds] = [:]
    var isThere = false
    /// Verifiers made of passwords in the file, so that each is hashed once.
    var hashed: [UserName: (password: String, verifier: ScramVerifier)] = [:]
    var secret: [UInt8] = []
    var iterations = ScramVerifier.defaultIterations
  }

  /// The files that may be the users file; the first that is there is.
  private let paths: [String]
  private let logger: Logger
  private let known = Mutex(Known())

  init(paths: [String], logger: Logger) {
    self.paths = paths
    self.logger = logger
  }

  /// Where `dfs.conf` is looked for: beside the server's directory, else in it.
  static func defaultPaths(directory: String) -> [String] {
    [UsersDisk.directory(of: directory) + "/dfs.conf", directory + "/dfs.conf"]
  }

  /// - Parameter name: as the client says it; it may be anything.
  func answer(for name: String, on threads: NIOThreadPool) async throws -> Answer {
    try await threads.runIfActive { try self.answer(for: name) }
  }

  func answer(for name: String) throws -> Answer {
    try refresh()
    return known.withLock { known in
      // Made for users who exist too, so that both take the same time.
      let mock = ScramVerifier(
        mockFor: name, secret: known.secret, iterations: known.iterations)
      guard let user = try? UserName(name), let verifier = known.verifiers[user] else {
        return Answer(user: nil, verifier: mock)
      }
      return Answer(user: user, verifier: verifier)
    }
  }

  /// What the file said of a user when it was read last; nil if there is no such user.
  func account(of user: UserName) -> (verifier: ScramVerifier, bounds: UserBounds)? {
    known.withLock { known in
      known.verifiers[user].map { ($0, known.bounds[user] ?? UserBounds()) }
    }
  }

  /// Whether there was a file then.
  var isFileThere: Bool { known.withLock { $0.isThere } }

  /// Reads the file if it is another one than last time.
  func refresh() throws {
    try known.withLock { known in
      let found = try Self.find(paths)
      guard known.path == nil || found?.stamp != known.stamp || found?.path != known.path else {
        return
      }
      let path = found?.path ?? paths[0]
      let file = try UsersDisk.read(path)
      known = try Self.learn(file, before: known)
      known.path = path
      known.stamp = found?.stamp
      known.isThere = found != nil
      report(file, path: path, isThere: found != nil, exposure: found?.stamp.exposure ?? 0)
    }
  }

  private static func find(
    _ paths: [String]
  ) throws(DFSError) -> (path: String, stamp: UsersDisk.Stamp)? {
    for path in paths {
      if let stamp = try UsersDisk.stamp(path) { return (path, stamp) }
    }
    return nil
  }

  private static func learn(_ file: UsersFile, before: Known) throws(DFSError) -> Known {
    var known = Known()
    known.secret = file.secret
    known.bounds = file.bounds
    for (name, secret) in file.users {
      switch secret {
      case .verifier(let verifier):
        if known.verifiers.isEmpty { known.iterations = verifier.iterations }
        known.verifiers[name] = verifier
      case .password(let password):
        var verifier = before.hashed[name].flatMap { $0.password == password ? $0.verifier : nil }
        if verifier == nil {
          let salt = ScramVerifier.salt(of: name.text, secret: known.secret)
          verifier = try ScramVerifier(password: password, salt: salt)
        }
        known.verifiers[name] = verifier
        known.hashed[name] = verifier.map { (password, $0) }
      }
    }
    return known
  }

  private func report(_ file: UsersFile, path: String, isThere: Bool, exposure: UInt32) {
    guard isThere else {
      logger.warning(
        "nobody can log in: there is no users file; make one: dfs user add NAME --users \(path)")
      return
    }
    for problem in file.problems { logger.error("\(path.printable): \(problem)") }
    let readable = file.usersWithPasswords
    if !readable.isEmpty {
      logger.warning(
        "\(path.printable) holds readable passwords (of \(readable.count)); run: dfs user convert --users \(path)"
      )
    }
    if exposure != 0 {
      logger.warning("\(path.printable) is open to others; run: chmod 600 \(path)")
    }
    logger.info("users in \(path.printable): \(file.users.count)")
  }
}
