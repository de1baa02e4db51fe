import DFSCore
import DFSWire
import Testing

@testable import DFSClient

/// Words of servers that would drive a terminal or forge a line of a log.
@Suite struct ServerTextTests {
  @Test func controlCharactersOfServersAreEscaped() {
    let reply = Reply.failed(DFSError(.busy, "\u{1b}]0;x\u{7}\nerror: forged\r\u{9b}31m"))
    guard case .failed(let error) = reply.withShownText else {
      return #expect(Bool(false), "another answer")
    }
    #expect(error.code == .busy)
    #expect(error.description == "\\x1b]0;x\\x07\\x0aerror: forged\\x0d\\x9b31m")
    var health = HealthReport(head: .blank)
    health.software = "dfs \u{1b}[2J"
    guard case .health(let shown) = Reply.health(health).withShownText else {
      return #expect(Bool(false), "another answer")
    }
    #expect(shown.software == "dfs \\x1b[2J")
  }

  @Test func longWordsAreCut() {
    let long = DFSError(.busy, String(repeating: "x", count: 1 << 20)).ofServer
    #expect(long.message.count == ServerText.bound + 1)
  }
}
