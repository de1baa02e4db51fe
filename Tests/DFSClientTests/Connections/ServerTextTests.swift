import DFSCore
import DFSWire
import Testing

@testable import DFSClient

/// Words of servers that would drive a terminal or forge a line of a log.
@Suite struct ServerTextTests {
  @Test func controlCharactersOfServersAreEscaped() {
    let reply = Reply.Failed(DFSError(.busy, "\u{1b}]0;x\u{7}\nerror: forged\r\u{9b}31m")).reply
    guard case .failed(let shown) = reply.showing(ServerText.shown) else {
      return #expect(Bool(false), "another answer")
    }
    #expect(shown.error.code == .busy)
    #expect(shown.error.description == "\\x1b]0;x\\x07\\x0aerror: forged\\x0d\\x9b31m")
    var health = HealthReport(head: .blank)
    health.software = "dfs \u{1b}[2J"
    #expect(health.showing(ServerText.shown).software == "dfs \\x1b[2J")
  }

  @Test func longWordsAreCut() {
    let long = Reply.Failed(DFSError(.busy, String(repeating: "x", count: 1 << 20)))
    #expect(long.showing(ServerText.shown).error.message.count == ServerText.limit + 1)
  }
}
