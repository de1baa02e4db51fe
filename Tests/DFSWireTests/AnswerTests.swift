import DFSCore
import Testing

@testable import DFSWire

/// Each request says what answers it.
@Suite struct AnswerTests {
  @Test func everyRequestHasAnAnswer() throws {
    let fields = try #require(try ProtoSchema.load().messages["Header"])
    let requests = fields.filter { $0.oneof == "kind" && $0.number < 40 }.map(\.name)
    let answered = Samples.exchanges.filter { !$0.replies.isEmpty }
    #expect(Set(answered.map(\.name)) == Set(requests))
  }

  @Test func anAnswerIsReadAsItWasSent() throws {
    for exchange in Samples.exchanges {
      for reply in exchange.replies {
        let frame = try Stream.bytes(of: Frame(.reply(id: 1, reply)))
        guard case .reply(_, let came) = try Stream.frames(of: frame).first?.message else {
          Issue.record("no reply: \(reply)")
          continue
        }
        #expect(try exchange.heard(came) == reply)
      }
    }
  }

  @Test func anotherAnswerIsAViolation() throws {
    // By the kinds of replies that fit.
    var fits: [String: Set<String>] = [:]
    for exchange in Samples.exchanges {
      fits[exchange.name, default: []].formUnion(exchange.replies.map(Self.kind))
    }
    for exchange in Samples.exchanges {
      let others = Samples.replies.filter { reply in
        if case .failed = reply { return false }
        return fits[exchange.name]?.contains(Self.kind(reply)) == false
      }
      #expect(others.count > 10)
      for reply in others {
        let error = #expect(throws: DFSError.self) { try exchange.heard(reply) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.message == "DFS2 answered a \(exchange.name) request with something else")
      }
    }
  }

  @Test func aFailureIsThrown() {
    let failure = DFSError(.noSpace, "full")
    for exchange in Samples.exchanges {
      #expect(throws: failure) { try exchange.heard(.failed(.init(failure))) }
    }
  }

  private static func kind(_ reply: Reply) -> String { String("\(reply)".prefix { $0 != "(" }) }
}
