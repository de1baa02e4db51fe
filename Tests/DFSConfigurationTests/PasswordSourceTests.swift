import DFSConfiguration
import DFSCore
import DFSSystem
import Foundation
import Glibc
import Testing

@testable import DFSConfiguration
@testable import DFSSystem

/// A password comes from a file, a descriptor or a terminal, and from nowhere else.
@Suite struct PasswordSourceTests {
  private static func file(_ text: String, mode: mode_t = 0o600) throws -> String {
    let path = "/tmp/dfs-password-\(UInt64.random(in: .min ... .max))"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, mode)
    return path
  }

  @Test(arguments: [
    ("secret", "secret"), ("secret\n", "secret"), ("secret\r\nmore\n", "secret"),
    (" a b ", " a b "),
  ])
  func aFileGivesItsFirstLine(_ text: String, _ password: String) throws {
    let path = try Self.file(text)
    defer { unlink(path) }
    #expect(try PasswordSource.file(path).read() == password)
  }

  @Test func aFileThatOthersCanReadIsRefused() throws {
    let path = try Self.file("secret", mode: 0o644)
    defer { unlink(path) }
    let error = #expect(throws: DFSError.self) { try PasswordSource.file(path).read() }
    #expect(error?.message.contains("run: chmod 600 \(path)") == true)
  }

  @Test(arguments: ["", "\n", "\nsecret\n"]) func anEmptyLineIsNoPassword(_ text: String) throws {
    let path = try Self.file(text)
    defer { unlink(path) }
    let error = #expect(throws: DFSError.self) { try PasswordSource.file(path).read() }
    #expect(error?.code == .configuration)
  }

  @Test func aDescriptorKeepsWhatFollowsTheLine() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { close(ends[0]) }
    #expect(write(ends[1], "secret\nlist\n", 12) == 12)
    close(ends[1])
    #expect(try PasswordSource.descriptor(ends[0]).read() == "secret")
    var rest = [UInt8](repeating: 0, count: 16)
    #expect(read(ends[0], &rest, 16) == 5)
    let error = #expect(throws: DFSError.self) { try PasswordSource.descriptor(ends[0]).read() }
    #expect(error?.code == .configuration)
  }

  @Test func theConfigurationsPasswordIsForItsUserOnly() throws {
    let path = try Self.file("other")
    defer { unlink(path) }
    var configuration = ClientConfiguration(servers: [])
    configuration.user = try UserName("alice")
    configuration.password = "secret"
    #expect(try Credentials.of(configuration).password == "secret")
    let (bob, source) = (try UserName("bob"), PasswordSource.file(path))
    let credentials = try Credentials.of(configuration, user: bob, source: source)
    #expect(credentials == Credentials(user: bob, password: "other"))
    #expect(try Credentials.of(configuration, source: source).password == "other")
    configuration.password = nil
    configuration.passwordFile = path
    #expect(try Credentials.of(configuration).password == "other")
    configuration.user = nil
    let error = #expect(throws: DFSError.self) { try Credentials.of(configuration) }
    #expect(error?.message.contains("add a line 'Username NAME'") == true)
  }

  /// What a person types on a real terminal, and what the terminal shows.
  private static func typed(_ keys: String) async throws -> (
    answer: Result<[UInt8], DFSError>, screen: String
  ) {
    var (leader, follower): (Int32, Int32) = (-1, -1)
    var name = [CChar](repeating: 0, count: 128)
    try #require(openpty(&leader, &follower, &name, nil, nil) == 0)
    defer { for descriptor in [leader, follower] { close(descriptor) } }
    let prompt = PasswordPrompt(
      terminal: String(decoding: name.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))
    // A thread of its own: the question blocks.
    let (answers, given) = AsyncStream.makeStream(of: Result<[UInt8], DFSError>.self)
    Thread.detachNewThread {
      do throws(DFSError) {
        given.yield(.success(try prompt.ask("Password: ")))
      } catch {
        given.yield(.failure(error))
      }
      given.finish()
    }
    // The prompt appears after the echo is off: from then on keys may come.
    var screen = ""
    var buffer = [UInt8](repeating: 0, count: 256)
    while !screen.hasSuffix("Password: ") {
      let count = read(leader, &buffer, 256)
      screen += String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
    _ = write(leader, keys, keys.utf8.count)
    var iterator = answers.makeAsyncIterator()
    let answer = try #require(await iterator.next())
    while !screen.hasSuffix("\r\n") {
      let count = read(leader, &buffer, 256)
      screen += String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
    var after = termios()
    tcgetattr(follower, &after)
    #expect(after.c_lflag & tcflag_t(ECHO) != 0, "the echo is back")
    return (answer, screen)
  }

  @Test(arguments: [
    ("secret\r", "secret"), ("sx\u{7f}ecret\n", "secret"), ("wrong\u{15}secret\r", "secret"),
    ("é\u{7f}secret\r", "secret"), ("secret\u{04}", "secret"),
  ])
  func aTerminalShowsNothing(_ keys: String, _ password: String) async throws {
    let (answer, screen) = try await Self.typed(keys)
    #expect(answer == .success(Array(password.utf8)))
    #expect(screen == "Password: \r\n")
  }

  @Test(arguments: ["sec\u{03}", "\u{04}"]) func controlCEnds(_ keys: String) async throws {
    let (answer, _) = try await Self.typed(keys)
    #expect(throws: DFSError(.cancelled, "no password was given")) { try answer.get() }
  }

  @Test func withoutATerminalTheRemedyIsSaid() {
    let error = #expect(throws: DFSError.self) {
      try PasswordPrompt(terminal: "/dev/null").ask("Password: ")
    }
    #expect(error?.message.contains("--password-file") == true)
  }

  @Test func theExampleConfigurationIsReadAsItIs() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("conf/dfc.conf"), encoding: .utf8)
    let example = try ConfigurationReader.read(text, path: "/etc/dfs/dfc.conf")
    #expect(example.user?.text == "Alice")
    // The commented keys show the defaults.
    let lines = text.split(separator: "\n")
    let uncommented = lines.map { line -> String in
      let isKey = line.hasPrefix("#") && line.dropFirst().first?.isUppercase == true
      let isOptional = ["#Password-File", "#Cache-Directory"].contains { line.hasPrefix($0) }
      return String(isKey && !isOptional ? line.dropFirst() : line)
    }
    var whole = try ConfigurationReader.read(
      uncommented.joined(separator: "\n"), path: "/etc/dfs/dfc.conf")
    // The default of dfc; mounts have another.
    #expect(whole.configuredWrites == .all)
    whole.configuredWrites = nil
    #expect(whole == example)
    for key in ConfigurationReader.Key.allCases {
      #expect(lines.contains { $0.drop { $0 == "#" }.hasPrefix(key.rawValue) }, "\(key.rawValue)")
    }
  }
}
