import DFSConfiguration
import DFSCore
import Glibc
import Testing

/// dfc.conf as people write it: every variant in use is read, everything else is refused with the
/// file, the line and the remedy.
@Suite struct ConfigurationReaderTests {
  static let original = """
    Server DFS1 127.0.0.1:10001
    Server DFS2 127.0.0.1:10002
    Server DFS3 127.0.0.1:10003
    Server DFS4 127.0.0.1:10004
    Username: Alice
    Password: SimplePassword

    """

  static func servers(besides line: String) -> String {
    original.split(separator: "\n").prefix(4).joined(separator: "\n") + "\n" + line + "\n"
  }

  /// Reads `text` from a file that only its owner can read.
  static func read(_ text: String, mode: mode_t = 0o600) throws -> ClientConfiguration {
    let path = "/tmp/dfc-\(UInt64.random(in: .min ... .max)).conf"
    let descriptor = open(path, O_CREAT | O_WRONLY | O_EXCL, mode)
    try #require(descriptor >= 0)
    defer { unlink(path) }
    fchmod(descriptor, mode)
    let bytes = Array(text.utf8)
    #expect(write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
    do {
      return try ClientConfiguration.read(path: path)
    } catch {
      let pieces = error.message.split(separator: path, omittingEmptySubsequences: false)
      throw DFSError(error.code, pieces.joined(separator: "dfc.conf"))
    }
  }

  static func refusal(_ text: String) -> String {
    do {
      _ = try read(text)
      return "read"
    } catch {
      return "\(error)"
    }
  }

  @Test func readsTheOriginal() throws {
    let configuration = try Self.read(Self.original)
    #expect(
      configuration.servers
        == (1...4).map { ServerAddress(name: "DFS\($0)", host: "127.0.0.1", port: 10000 + $0) })
    #expect(configuration.user == (try UserName("Alice")))
    #expect(configuration.password == "SimplePassword")
    #expect(configuration.writes == .all)
    #expect(configuration.cluster == "default")
  }

  /// `original` with every `old` replaced.
  static func original(_ old: String, _ new: String) -> String {
    original.split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
  }

  static let variants: [String] = [
    original("\n", "\r\n"),
    String(original.dropLast()),
    original(" ", "\t"),
    original(" ", " \t "),
    original("Server ", "Server:"),
    original("1:1", "1 1"),
    original("Server", "SERVER"),
    original("Username", "uSERNAME"),
    original("DFS", "dfs"),
    original(": ", " "),
    original(": ", ":"),
    original(": ", " : "),
    original("Username", "USER"),
    "\u{feff}# the four servers\n\n" + original + "   # the end",
    original("1\n", "1  # the first\n"),
    original.split(separator: "\n").reversed().joined(separator: "\n"),
  ]

  @Test(arguments: variants) func readsTheVariantsInUse(_ text: String) throws {
    #expect(try Self.read(text) == Self.read(Self.original))
  }

  @Test(arguments: [
    ("node-1.example.org:7001", "node-1.example.org", 7001),
    ("[::1]:7001", "::1", 7001),
    ("[fe80::1%eth0]:7001", "fe80::1%eth0", 7001),
    ("[::1] 7001", "::1", 7001),
    ("::1 7001", "::1", 7001),
  ])
  func readsHosts(_ text: String, _ host: String, _ port: Int) throws {
    let conf = Self.original("127.0.0.1:10001", text)
    let first = try #require(try Self.read(conf).servers.first)
    #expect(first == ServerAddress(name: "DFS1", host: host, port: port))
  }

  @Test func readsTheFurtherKeys() throws {
    let configuration = try Self.read(
      Self.servers(
        besides: """
          Cluster lab-1
          Writes QUORUM
          Cache-Directory /var/cache/my dfs
          Spool-Size 2G
          spool_memory: 512K
          ReadCache 128MiB
          Cached-Rows 5000
          Call-Timeout 20s
          Connect-Timeout 2000ms
          Hedge 250 ms
          Password-File secret
          """))
    #expect(configuration.cluster == "lab-1")
    #expect(configuration.writes == .quorum)
    #expect(configuration.cacheDirectory == "/var/cache/my dfs")
    #expect(configuration.spoolBytes == 2 << 30)
    #expect(configuration.spoolMemoryBytes == 512 << 10)
    #expect(configuration.readCacheBytes == 128 << 20)
    #expect(configuration.cachedRows == 5000)
    #expect(configuration.callTimeoutSeconds == 20)
    #expect(configuration.connectTimeoutSeconds == 2)
    #expect(configuration.hedgeMilliseconds == 250)
    // Relative to the file, wherever dfc is started.
    #expect(configuration.passwordFile == "/tmp/secret")
  }

  @Test func aPasswordIsTheRestOfItsLine() throws {
    #expect(try Self.read(Self.servers(besides: "Password: a b #c: d ")).password == "a b #c: d")
    #expect(try Self.read(Self.servers(besides: "Password ::x")).password == ":x")
  }

  @Test(arguments: [
    ("Sever DFS1 x:1", "dfc.conf:5: unknown key 'Sever'; the keys are Server, Cluster, "),
    ("Server DFS1 h:1", "dfc.conf:5: server DFS1 was given on line 1 already"),
    ("Server DFS5 h:1", "dfc.conf:5: Server 'DFS5 h:1' names no server; the servers are DFS1, "),
    ("Username A\nUser B", "dfc.conf:6: Username was given on line 5 already; remove one of them"),
    ("Username .a", "dfc.conf:5: '.a' is not a user name"),
    ("Password:", "dfc.conf:5: Password has no value; give one or remove the line"),
    ("Password x\nPassword-File y", "dfc.conf:6: Password and Password-File are both given"),
    ("Writes some", "dfc.conf:5: Writes 'some' is not known; use all or quorum"),
    ("Spool-Size 1X", "dfc.conf:5: Spool-Size '1X' is not a size; write bytes as a whole number"),
    ("Spool-Size 1", "dfc.conf:5: Spool-Size '1' is out of range: 16M to 8192T"),
    ("Spool-Size 99999999T", "dfc.conf:5: Spool-Size '99999999T' is out of range"),
    ("Read-Cache -1", "dfc.conf:5: Read-Cache '-1' is not a size"),
    ("Cached-Rows many", "dfc.conf:5: Cached-Rows 'many' is not a whole number"),
    (
      "Call-Timeout 30",
      "dfc.conf:5: Call-Timeout '30' is not a duration; write a whole number with"
    ),
    ("Call-Timeout 2500ms", "dfc.conf:5: Call-Timeout '2500ms' is not a whole number of seconds"),
    ("Hedge 3s", "dfc.conf:5: Hedge '3s' is out of range: 10ms to 2s"),
    ("Cluster a/b", "dfc.conf:5: Cluster 'a/b' is not a name"),
  ])
  func refusesWithLineAndRemedy(_ line: String, _ message: String) {
    let refusal = Self.refusal(Self.servers(besides: line))
    #expect(refusal.hasPrefix(message), "\(refusal)")
  }

  @Test(arguments: [
    ("127.0.0.1", "has no port; write 'Server DFS1 HOST:PORT'"),
    ("127.0.0.1:0", "has the port '0'; ports are 1 to 65535"),
    ("127.0.0.1:65536", "has the port '65536'; ports are 1 to 65535"),
    ("127.0.0.1:http", "has the port 'http'; ports are 1 to 65535"),
    ("::1:10001", "is not a host; write"),
    ("a b c", "needs one address; write"),
    ("a/b:10001", "is not a host; write"),
    ("127.0.0.1:10002", "has the address of"),
  ])
  func refusesAddresses(_ address: String, _ message: String) {
    let conf = Self.original("127.0.0.1:10001", address)
    let refusal = Self.refusal(conf)
    #expect(refusal.hasPrefix("dfc.conf:"), "\(refusal)")
    #expect(refusal.contains(message), "\(refusal)")
  }

  @Test func reportsEveryProblemAtOnce() {
    let refusal = Self.refusal("Server DFS1 h:1\nFoo\nHedge 9\n")
    let starts = ["dfc.conf:2:", "dfc.conf:3:", "dfc.conf: no", "dfc.conf: no", "dfc.conf: no"]
    let lines = refusal.split(separator: "\n")
    #expect(lines.count == starts.count, "\(refusal)")
    #expect(zip(lines, starts).allSatisfy { $0.hasPrefix($1) }, "\(refusal)")
    #expect(refusal.contains("no server DFS4; add a line 'Server DFS4 HOST:PORT'"))
  }

  @Test func controlCharactersAreEscapedInMessages() {
    #expect(Self.refusal("\u{1b}[2J x").contains("unknown key '\\x1b[2J'"))
  }

  @Test(arguments: [0o644, 0o640, 0o604, 0o620] as [mode_t])
  func aPasswordThatOthersCanReadIsRefused(_ mode: mode_t) throws {
    let error = #expect(throws: DFSError.self) { try Self.read(Self.original, mode: mode) }
    #expect(error?.code == .configuration)
    #expect(error?.message.contains("others can read it; run: chmod 600 dfc.conf") == true)
    #expect(throws: Never.self) { try Self.read(Self.servers(besides: ""), mode: mode) }
  }

  @Test func aFileThatCannotBeReadSaysWhy() {
    let missing = #expect(throws: DFSError.self) {
      try ClientConfiguration.read(path: "/nowhere/dfc.conf")
    }
    #expect(missing?.message == "cannot read /nowhere/dfc.conf: No such file or directory")
    let directory = #expect(throws: DFSError.self) { try ClientConfiguration.read(path: "/tmp") }
    #expect(directory?.message == "cannot read /tmp: Is a directory")
    let endless = #expect(throws: DFSError.self) {
      try ClientConfiguration.read(path: "/dev/zero")
    }
    #expect(endless?.message.contains("longer than 1048576 bytes") == true)
  }
}
