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
    var limits: [UserName: UserLimits] = [:]
    var isThere = false
    /// Verifiers made of passwords in the file, so that each is hashed once.
    var hashed: [UserName: (password: String, verifier: ScramVerifier)] = [:]
    var secret: [UInt8] = []
    /// What verifiers look like to a stranger: iterations and bytes of salt of each, in order.
    var looks: [Look] = []
  }

  private struct Look: Comparable, Sendable {
    let iterations: Int
    let saltBytes: Int

    static func < (left: Look, right: Look) -> Bool {
      (left.iterations, left.saltBytes) < (right.iterations, right.saltBytes)
    }
  }

  /// The files that may be the users file; the first that is there is.
  private let paths: [String]
  /// For a file that has none.
  private let ownSecret: [UInt8]
  private let logger: Logger
  private let known = Mutex(Known())

  init(paths: [String], secret: [UInt8], logger: Logger) {
    self.paths = paths
    ownSecret = secret
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
      let mock = Self.mock(of: name, known)
      guard let user = try? UserName(name), let verifier = known.verifiers[user] else {
        return Answer(user: nil, verifier: mock)
      }
      return Answer(user: user, verifier: verifier)
    }
  }

  /// Which look a name has is drawn by the name, each as likely as it is among the users; so a user
  /// more or less changes that of few names.
  private static func mock(of name: String, _ known: Known) -> ScramVerifier {
    let draw = ScramVerifier.draw(of: name, secret: known.secret)
    let index = Int(draw * Double(known.looks.count))
    guard known.looks.indices.contains(index) else {
      return ScramVerifier(
        mockFor: name, secret: known.secret, iterations: ScramVerifier.defaultIterations)
    }
    let look = known.looks[index]
    return ScramVerifier(
      mockFor: name, secret: known.secret, iterations: look.iterations,
      saltBytes: look.saltBytes)
  }

  /// What the file said of a user when it was read last; nil if there is no such user.
  func account(of user: UserName) -> (verifier: ScramVerifier, limits: UserLimits)? {
    known.withLock { known in
      known.verifiers[user].map { ($0, known.limits[user] ?? UserLimits()) }
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
      let before = known
      known = try learn(file, before: known)
      if before.path != nil {
        UsersAudit(before: before.verifiers, after: known.verifiers).write(to: logger)
      }
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

  private func learn(_ file: UsersFile, before: Known) throws(DFSError) -> Known {
    var known = Known()
    known.secret = file.secret ?? ownSecret
    known.limits = file.limits
    for (name, secret) in file.users {
      switch secret {
      case .verifier(let verifier):
        known.verifiers[name] = verifier
      case .password(let password):
        var verifier = before.hashed[name].flatMap { $0.password == password ? $0.verifier : nil }
        if verifier == nil {
          // The same one after a restart, as of a verifier in the file.
          let salt = ScramVerifier.salt(of: name.text, secret: known.secret)
          verifier = try ScramVerifier(password: password, salt: salt)
        }
        known.verifiers[name] = verifier
        known.hashed[name] = verifier.map { (password, $0) }
      }
    }
    known.looks = known.verifiers.values
      .map { Look(iterations: $0.iterations, saltBytes: $0.salt.count) }.sorted()
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
    if isThere, file.secret == nil, readable.count < file.users.count {
      logger.warning(
        "\(path.printable) has no line '# secret:', so that who asks two servers can tell which users there are; run: dfs user convert --users \(path)"
      )
    }
    if exposure != 0 {
      logger.warning("\(path.printable) is open to others; run: chmod 600 \(path)")
    }
    logger.info("users in \(path.printable): \(file.users.count)")
  }
}
