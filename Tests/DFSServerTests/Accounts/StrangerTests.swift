import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Logging
import NIOCore
import Testing

@testable import DFSServer

/// What who is not logged in may do to others: nothing.
@Suite struct StrangerTests {
  // MARK: The account of places

  @Test func theOldestOfTheAddressWithTheMostGoes() {
    var strangers = Strangers(limit: 8)
    #expect(strangers.came(1, from: "a") == nil)
    for id: SessionID in 2...4 { #expect(strangers.came(id, from: "b") == nil) }
    #expect(strangers.came(5, from: "b") == nil)
    #expect(strangers.came(6, from: "b") == 2, "one address has half of the places")
    for id: SessionID in 7...9 { #expect(strangers.came(id, from: "c") == nil) }
    #expect(strangers.count == 8)
    #expect(strangers.came(10, from: "a") == 3, "b has the most")
    strangers.left(9)
    #expect(strangers.came(11, from: "b") == nil)
    strangers.wasWrong(6)
    #expect(strangers.came(12, from: "a") == 6, "whose password was wrong goes before older ones")
    for id: SessionID in [1, 4, 5, 7, 8, 10, 11, 12] { strangers.left(id) }
    #expect(strangers.count == 0)
    #expect(strangers.dropOne() == nil)
  }

  @Test func attemptsUnderOneNameAreBoundedAndDoNotDriveOutOthersAddresses() {
    var strangers = Strangers(limit: 16)
    _ = strangers.came(1, from: "user")
    #expect(strangers.named(1, "Alice") == nil)
    for id: SessionID in 2...4 {
      _ = strangers.came(id, from: "guesser")
      #expect(strangers.named(id, "Alice") == nil)
    }
    _ = strangers.came(5, from: "guesser")
    #expect(strangers.named(5, "Alice") == 2)
    _ = strangers.came(6, from: "guesser")
    #expect(strangers.named(6, "Bob") == nil)
  }

  @Test func anIPv6NetworkIsOneStranger() throws {
    func address(_ text: String) throws -> String {
      try SocketAddress(ipAddress: text, port: 1).strangerAddress
    }
    #expect(try address("2001:db8:1:2::7") == address("2001:db8:1:2:ffff::1"))
    #expect(try address("2001:db8:1:2::7") != address("2001:db8:1:3::7"))
    #expect(try address("::ffff:192.0.2.1") == address("192.0.2.1"))
    #expect(try address("192.0.2.1") != address("192.0.2.2"))
  }

  // MARK: The log

  @Test func linesAboutStrangersAreShortAndFew() {
    let (lines, log) = (LogLines(), StrangerLog())
    let start = NIODeadline.now()
    for _ in 0..<1000 {
      log.log(
        .notice, "refused: \u{1b}[2J" + String(repeating: "x", count: 4000), lines.logger,
        now: start)
    }
    #expect(lines.lines.count == StrangerLog.burst)
    #expect(lines.lines.allSatisfy { $0.utf8.count < 300 && !$0.contains("\u{1b}") })
    log.log(.notice, "later", lines.logger, now: start + .seconds(1))
    let line = "notice later (980 lines about strangers before it were left out)"
    #expect(lines.lines.last?.hasPrefix(line) == true)
  }

  // MARK: Real sockets

  @Test func theRightPasswordNeverWaitsForGuesses() async throws {
    try await withServer { server in
      // One after the other, as many as made every login of that address wait; then many at once.
      var guesses: [TestClient] = []
      for _ in 0..<60 { guesses.append(try await guess(server.port)) }
      let clock = ContinuousClock()
      for _ in 0..<5 {
        let took = try await clock.measure {
          try await TestClient.loggedIn(port: server.port).close()
        }
        #expect(took < .seconds(1), "with 60 guesses under way")
      }
      let open = guesses.filter { !$0.isClosed }.count
      #expect(open > 30, "the answers to guesses wait; \(open) do")
      for client in guesses { try? await client.close() }
    }
  }

  /// A wrong password is sent; nobody waits for the answer.
  private func guess(_ port: Int) async throws -> TestClient {
    let client = try await TestClient.connect(port: port)
    try await client.hello()
    var scram = ScramClient(user: "Alice", password: "wrong", cache: Self.cache)
    let challenge = try await client.ask(Request.LoginBegin(scram: scram.first()))
    client.send(Request.LoginEnd(scram: try scram.respond(to: challenge.scram)))
    return client
  }

  private static let cache = ScramCache()

  @Test func silentSocketsTakeNoPlacesOfUsers() async throws {
    try await withServer({
      $0.connections = 8
      $0.strangers = 32
    }) { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      var sockets: [Int32] = []
      defer { for socket in sockets { close(socket) } }
      for _ in 0..<200 { sockets.append(try Loopback.connect(port: server.port)) }
      // One address keeps half of the places; the oldest were told so and closed.
      try await eventually("all have come") { sockets.count { Loopback.isAtEnd($0) } >= 184 }
      try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other").ask(
        Request.Ping())
      try await alice.ask(Request.Ping())
      // They come on several event loops, in about their order.
      #expect(sockets.prefix(100).allSatisfy { Loopback.isAtEnd($0) })
      #expect(sockets.suffix(100).contains { !Loopback.isAtEnd($0) })
      #expect(server.log.lines.filter { $0.contains("refused") }.count <= StrangerLog.burst + 20)
    }
  }

  @Test func connectionsThatCameAndWentLeaveNothing() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\n".write(toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(directory + "/DFS1")
    func visit(_ count: Int) throws {
      for _ in 0..<count { close(try Loopback.connect(port: server.port)) }
    }
    try visit(2000)
    try await TestClient.loggedIn(port: server.port).close()
    let before = server.residentBytes
    try visit(8000)
    try await TestClient.loggedIn(port: server.port).close()
    let grown = server.residentBytes - before
    print("8,000 connections left \(grown >> 10) KiB")
    #expect(grown < 4 << 20)
    #expect(try await server.end(SIGTERM) == 0)
    try FileManager.default.removeItem(atPath: directory)
  }

  /// Without descriptors the listener stays readable; the server must neither spin nor forget it.
  @Test func withoutDescriptorsAcceptingPauses() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\n".write(toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(directory + "/DFS1")
    let alice = try await TestClient.loggedIn(port: server.port)
    let limiting = try Process.run(
      URL(fileURLWithPath: "/usr/bin/prlimit"),
      arguments: ["--pid", "\(server.pid)", "--nofile=64:64"])
    limiting.waitUntilExit()
    #expect(limiting.terminationStatus == 0)
    var sockets: [Int32] = []
    for _ in 0..<150 { sockets.append(try Loopback.connect(port: server.port)) }
    try await eventually("it says so") {
      server.errors.contains("no connection can be accepted for a moment")
    }
    let before = try processorSeconds(server.pid)
    try await Task.sleep(for: .seconds(1))
    let used = try processorSeconds(server.pid) - before
    #expect(used < 0.4, "\(used) s of processor time in a second")
    try await alice.ask(Request.Ping())
    for socket in sockets { close(socket) }
    try await TestClient.loggedIn(port: server.port).ask(Request.Ping())
    #expect(try await server.end(SIGTERM) == 0)
    try FileManager.default.removeItem(atPath: directory)
  }

  /// Nobody can be sent away for room, since there was none from the beginning.
  @Test func withoutAnyDescriptorNothingSpins() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\n".write(toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(directory + "/DFS1")
    let alice = try await TestClient.loggedIn(port: server.port)
    func limit(_ count: Int) throws {
      let limiting = try Process.run(
        URL(fileURLWithPath: "/usr/bin/prlimit"),
        arguments: ["--pid", "\(server.pid)", "--nofile=\(count):1024"])
      limiting.waitUntilExit()
      #expect(limiting.terminationStatus == 0)
    }
    try limit(4)
    let sockets = try (0..<5).map { _ in try Loopback.connect(port: server.port) }
    try await eventually("it says so") {
      server.errors.contains("no connection can be accepted for a moment")
    }
    let before = try processorSeconds(server.pid)
    try await Task.sleep(for: .seconds(1))
    let used = try processorSeconds(server.pid) - before
    #expect(used < 0.4, "\(used) s of processor time in a second")
    try await alice.ask(Request.Ping())
    try limit(1024)
    try await TestClient.loggedIn(port: server.port).ask(Request.Ping())
    for socket in sockets { close(socket) }
    #expect(try await server.end(SIGTERM) == 0)
    try FileManager.default.removeItem(atPath: directory)
  }

  private func processorSeconds(_ pid: Int32) throws -> Double {
    let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
    let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
    let ticks = (Double(fields[12]) ?? 0) + (Double(fields[13]) ?? 0)
    return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  // MARK: Users who are not there

  /// The iterations are those of some real user, the salt stays through a restart and another user.
  @Test func aNameThatIsNobodysLooksLikeAUsers() async throws {
    func line(_ name: String, _ iterations: Int) throws -> String {
      "\(name) \(try ScramVerifier(password: "p", iterations: iterations).text)\n"
    }
    let real =
      try (0..<4).map { try line("old\($0)", 4096) } + (0..<4).map { try line("new\($0)", 5000) }
    let server = try await TestServer.start(users: real.joined())
    let names = (0..<40).map { "nobody\($0)" }
    let first = try await names.asyncMap { try await challenge(server.port, $0) }
    let counts = first.map { $0.split(separator: ",").last ?? "" }
    #expect(Set(counts) == ["i=4096", "i=5000"])
    #expect((8...32).contains(counts.filter { $0 == "i=4096" }.count))
    await server.server.stop()
    try (real.joined() + line("more", 5000)).write(
      toFile: server.usersFile, atomically: true, encoding: .utf8)
    let again = try await TestServer.start(in: server.directory)
    let second = try await names.asyncMap { try await challenge(again.port, $0) }
    let same = zip(first, second).filter { $0 == $1 }.count
    #expect(same >= 32, "a user more changes few: \(40 - same)")
    #expect(
      Set(first.map { $0.split(separator: ",")[0].count }).count == 1, "salts are of one length")
    try await again.remove()
  }

  /// What a server asks of this name, without the nonce.
  private func challenge(_ port: Int, _ name: String) async throws -> String {
    let client = try await TestClient.connect(port: port)
    try await client.hello()
    let answer = try await client.ask(Request.LoginBegin(scram: "n,,n=\(name),r=abc"))
    try await client.close()
    return answer.scram.split(separator: ",").dropFirst().joined(separator: ",")
  }

  @Test func dfsMakesAStrongPassword() async throws {
    let directory = TestServer.temporaryDirectory()
    let file = directory + "/dfs.conf"
    var passwords: Set<String> = []
    for words in [["add", "Alice"], ["passwd", "Alice"]] {
      let result = try await ServerProcess.run(["user"] + words + ["--users", file, "--generate"])
      #expect(result.status == 0, "\(result.errors)")
      let lines = result.output.split(separator: "\n")
      #expect(lines.count == 1 && lines[0].count == 29, "\(result.output)")
      passwords.insert(String(lines[0]))
    }
    #expect(passwords.count == 2)
    let both = ["user", "add", "Bob", "--users", file, "--generate", "--password-file", file]
    #expect(try await ServerProcess.run(both).status == 64)
    try await withServer(users: try String(contentsOfFile: file, encoding: .utf8)) { server in
      var accepted = 0
      for password in passwords {
        let client = try? await TestClient.loggedIn(port: server.port, password: password)
        if client != nil { accepted += 1 }
      }
      #expect(accepted == 1, "the last one is the password")
    }
    try FileManager.default.removeItem(atPath: directory)
  }
}

extension Sequence {
  fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async throws -> [Value]
  {
    var values: [Value] = []
    for element in self { values.append(try await body(element)) }
    return values
  }
}

/// Plain sockets, which say nothing.
private enum Loopback {
  static func connect(port: Int) throws -> Int32 {
    let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw DFSError(.disconnected, "connect: errno \(errno)") }
    return socket
  }

  /// Whether the peer has closed it; what it said before is read and thrown away.
  static func isAtEnd(_ socket: Int32) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { continue }
      return count == 0 || errno == ECONNRESET
    }
  }
}
