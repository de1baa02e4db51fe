import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

@testable import DFSServer

/// TLS, logins bound to it, and the certificate of a server.
@Suite struct EncryptionTests {
  private static func hello(_ client: TestClient) async throws {
    try await client.hello()
    #expect(client.binding != nil)
  }

  @Test func bothSidesProveThemselvesOverTLS() async throws {
    try await withServer { server in
      let alice = try await TestClient.connect(port: server.port, encryption: .always)
      try await Self.hello(alice)
      try await alice.logIn("Alice", "secret")
      try await alice.ask(Request.Ping())
      // And a plain connection from this machine as ever.
      try await TestClient.loggedIn(port: server.port).close()
      try await alice.close()
    }
  }

  @Test func aLoginThatIsNotBoundIsRefusedOverTLS() async throws {
    try await withServer { server in
      let client = try await TestClient.connect(port: server.port, encryption: .always)
      try await Self.hello(client)
      let error = await #expect(throws: DFSError.self) {
        try await client.logIn("Alice", "secret", isBound: false)
      }
      #expect(error?.message.contains("a login must be bound to it") == true)
      try await eventually("the connection ends") { client.isClosed }
    }
  }

  @Test func aWrongPasswordIsAWrongPasswordOverTLS() async throws {
    try await withServer { server in
      let client = try await TestClient.connect(port: server.port, encryption: .always)
      try await Self.hello(client)
      let error = await #expect(throws: DFSError.self) { try await client.logIn("Alice", "no") }
      #expect(error?.code == .loginFailed)
    }
  }

  /// A peer that says nothing is closed in time, and so is one that ends its handshake there.
  @Test func whoDoesNotLogInInTimeIsToldSoOverTLS() async throws {
    try await withServer({ $0.loginSeconds = 1 }) { server in
      let client = try await TestClient.connect(port: server.port, encryption: .always)
      try await Self.hello(client)
      try await eventually("the connection ends", within: .seconds(20)) { client.isClosed }
      #expect(client.refusal == DFSError(.timedOut, "no login within 1 s"))
    }
  }

  // MARK: The certificate

  private static func pem(_ server: TestServer) -> String {
    server.directory + "/DFS1/.dfs/tls.pem"
  }

  /// It is made once and kept, and nobody else can read it.
  @Test func aServerMakesItsCertificateAtItsFirstStart() async throws {
    let server = try await TestServer.start()
    let path = Self.pem(server)
    let first = try String(contentsOfFile: path, encoding: .utf8)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    let fingerprint = server.server.fingerprint
    await server.server.stop()
    let again = try await TestServer.start(in: server.directory)
    #expect(again.server.fingerprint == fingerprint)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == first)
    try await again.remove()
  }

  /// What cannot be kept is made anew: a full disk stops no server. (A directory in the way is no full
  /// disk, but fails root too.)
  @Test func aCertificateThatCannotBeKeptIsMadeAnew() async throws {
    let server = try await TestServer.start()
    let path = Self.pem(server)
    await server.server.stop()
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(
      atPath: path + ".new", withIntermediateDirectories: false)
    let again = try await TestServer.start(in: server.directory)
    #expect(again.server.fingerprint != server.server.fingerprint)
    #expect(again.log.lines.contains { $0.hasPrefix("warning the certificate cannot be kept") })
    let client = try await TestClient.connect(port: again.port, encryption: .always)
    try await Self.hello(client)
    try await client.logIn("Alice", "secret")
    try await again.remove()
  }

  /// As another program reads it.
  @Test func theCertificateIsOne() async throws {
    try await withServer { server in
      let path = Self.pem(server)
      try Self.shell("openssl x509 -in \(path) -noout -text > \(path).txt")
      try Self.shell("openssl verify -CAfile \(path) -partial_chain \(path)")
      let text = try String(contentsOfFile: path + ".txt", encoding: .utf8)
      for line in [
        "Version: 3", "Signature Algorithm: ecdsa-with-SHA256", "Issuer: CN = DFS1",
        "Subject: CN = DFS1", "Not After : Dec 31 23:59:59 9999 GMT", "CA:FALSE",
        "Digital Signature", "prime256v1",
      ] {
        #expect(text.contains(line), "\(line)")
      }
    }
  }

  @Test func aCertificateThatOthersReadOrThatIsDamagedIsRefused() async throws {
    let server = try await TestServer.start()
    let path = Self.pem(server)
    await server.server.stop()
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    let exposed = await #expect(throws: DFSError.self) {
      try await TestServer.start(in: server.directory)
    }
    #expect(exposed?.message.contains("run: chmod 600 ") == true)
    try "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".write(
      toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    let damaged = await #expect(throws: DFSError.self) {
      try await TestServer.start(in: server.directory)
    }
    #expect(damaged?.code == .configuration)
    #expect(damaged?.message.contains("remove it, and the next start makes another") == true)
    try FileManager.default.removeItem(atPath: path)
    try await TestServer.start(in: server.directory).remove()
  }

  private static func shell(_ command: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", command]
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(command)")
  }

  private static func openssl(_ arguments: String, in directory: String) throws {
    try shell("cd '\(directory)' && openssl req -x509 -nodes -days 30 \(arguments) 2>/dev/null")
  }

  /// `--tls-certificate` and `--tls-key`.
  @Test func anOperatorsOwnCertificateIsUsed() async throws {
    let directory = TestServer.temporaryDirectory()
    for (name, key) in [
      ("ec", "-newkey ec -pkeyopt ec_paramgen_curve:secp384r1 -sha384"),
      ("rsa", "-newkey rsa:2048 -sha256"), ("ed", "-newkey ed25519"),
    ] {
      try Self.openssl("\(key) -subj /CN=x -keyout \(name).key -out \(name).pem", in: directory)
    }
    func use(_ certificate: String, _ key: String) -> (inout ServerOptions) -> Void {
      {
        $0.tlsCertificate = "\(directory)/\(certificate).pem"
        $0.tlsKey = "\(directory)/\(key).key"
      }
    }
    for name in ["ec", "rsa"] {
      try await withServer(use(name, name)) { server in
        let client = try await TestClient.connect(port: server.port, encryption: .always)
        try await Self.hello(client)
        try await client.logIn("Alice", "secret")
        #expect(client.binding?.bytes.count == (name == "ec" ? 48 : 32))
        #expect(!FileManager.default.fileExists(atPath: Self.pem(server)))
      }
    }
    for (certificate, key, reason) in [
      ("ec", "rsa", "do not belong together"), ("ed", "ed", "no login can be bound"),
      ("none", "ec", "cannot read"),
    ] {
      let error = await #expect(throws: DFSError.self) {
        try await TestServer.start(use(certificate, key)).remove()
      }
      #expect(error?.code == .configuration)
      #expect(error?.message.contains(reason) == true, "\(certificate), \(key): \(error as Any)")
    }
  }

  /// Beyond loopback the program prints the fingerprint, which a client may pin.
  @Test func theProgramPrintsTheFingerprint() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\n".write(
      toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(directory + "/DFS1", ["--address", "0.0.0.0"])
    try await eventually("the fingerprint is printed") { server.output.contains("SHA256:") }
    let line = try #require(server.output.split(separator: "\n").last)
    #expect(line.hasPrefix("DFS1 certificate SHA256:"))
    #expect(CertificateFingerprint(text: line.split(separator: " ")[2]) != nil)
    #expect(try await server.end(SIGTERM) == 0)
    let half = try await ServerProcess.run([directory + "/DFS1", "0", "--tls-key", "x"])
    #expect(half.status == 64)
    #expect(half.errors.contains("--tls-certificate and --tls-key belong together"))
    try FileManager.default.removeItem(atPath: directory)
  }
}
