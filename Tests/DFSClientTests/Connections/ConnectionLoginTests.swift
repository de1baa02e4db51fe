import DFSConfiguration
import DFSCore
import DFSWire
import NIOCore
import Testing

@testable import DFSClient

/// The client's login against the server's side of SCRAM.
@Suite struct ConnectionLoginTests {
  private func login(password: String = "secret") throws -> ConnectionLogin {
    ConnectionLogin(
      peer: "DFS2 (127.0.0.1:10002)",
      hello: Request.Hello(
        version: Wire.version, cluster: "default", server: "DFS2", client: ClientID(1),
        wantsPushes: true),
      credentials: Credentials(user: try UserName("Alice"), password: password),
      cache: ScramCache())
  }

  private func greeting(
    server: String = "DFS2", cluster: String = "default", version: UInt32 = Wire.version
  ) -> Reply {
    .greeting(
      .init(version: version, cluster: cluster, server: server, identity: "", software: "dfs"))
  }

  /// Runs the whole conversation with a server that knows `secret`.
  private func converse(_ login: inout ConnectionLogin) throws -> ConnectionLogin.Action {
    var server = ScramServer(verifier: try ScramVerifier(password: "secret"))
    guard case .send(.loginBegin(let first)) = login.replied(greeting()) else {
      throw DFSError(.protocolViolation, "no begin")
    }
    let challenge = Reply.LoginContinue(scram: try server.first(first.scram))
    guard case .prove(var scram, let text) = login.replied(challenge.reply) else {
      throw DFSError(.protocolViolation, "no proof")
    }
    let message = try scram.respond(to: text)
    guard case .send(.loginEnd(let final)) = login.proved(.success((scram, message))) else {
      throw DFSError(.protocolViolation, "no end")
    }
    do {
      return login.replied(.loginDone(.init(scram: try server.final(final.scram), namespace: nil)))
    } catch {
      return login.replied(.failed(.init(error)))
    }
  }

  @Test func logsIn() throws {
    var login = try login()
    guard case .ready(let greeting, _) = try converse(&login) else {
      throw DFSError(.damaged, "no")
    }
    #expect(greeting.server == "DFS2")
  }

  @Test func aWrongPasswordSaysSo() throws {
    var login = try login(password: "wrong")
    guard case .fail(let error) = try converse(&login) else { throw DFSError(.damaged, "no") }
    #expect(
      error == DFSError(.loginFailed, "Invalid Username/Password. Please try again."))
  }

  @Test func aServerThatCannotProveItselfIsRefused() throws {
    var login = try login()
    guard case .send(.loginBegin(let first)) = login.replied(greeting()) else { return }
    var server = ScramServer(verifier: try ScramVerifier(password: "secret"))
    let challenge = Reply.LoginContinue(scram: try server.first(first.scram))
    guard case .prove(var scram, let text) = login.replied(challenge.reply) else { return }
    let message = try scram.respond(to: text)
    _ = login.proved(.success((scram, message)))
    guard case .fail(let error) = login.replied(.loginDone(.init(scram: "v=AAAA", namespace: nil)))
    else {
      throw DFSError(.damaged, "no")
    }
    #expect(error.code == .protocolViolation)
  }

  @Test(arguments: [
    ("DFS3", "default", Wire.version, "says it is DFS3, the configuration says DFS2"),
    ("DFS2", "other", Wire.version, "belongs to the cluster 'other'"),
    ("DFS2", "default", 1, "speaks version 1"),
  ])
  func anotherServerIsRefused(server: String, cluster: String, version: UInt32, says: String) throws
  {
    var login = try login()
    let reply = greeting(server: server, cluster: cluster, version: version)
    guard case .fail(let error) = login.replied(reply) else { throw DFSError(.damaged, "no") }
    #expect(error.code == .configuration)
    #expect(error.message.contains(says))
    #expect(error.message.hasPrefix("DFS2 (127.0.0.1:10002)"))
  }

  @Test func anAnswerOutOfTurnIsAViolation() throws {
    var login = try login()
    guard case .fail(let error) = login.replied(.loginDone(.init(scram: "", namespace: nil))) else {
      throw DFSError(.damaged, "no")
    }
    #expect(error.code == .protocolViolation)
  }
}
