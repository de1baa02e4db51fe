import DFSCore
import DFSWire

/// A request, and some of the answers that fit it.
protocol Exchange: Sendable {
  var name: String { get }
  var request: Request { get }
  var replies: [Reply] { get }
  /// What a client makes of a reply to the request, as a reply again.
  func heard(_ reply: Reply) throws(DFSError) -> Reply
}

private struct Sample<Message: RequestMessage>: Exchange {
  let message: Message
  let answers: [Message.Answer]

  init(_ message: Message, _ answers: Message.Answer...) {
    self.message = message
    self.answers = answers
  }

  var name: String { Message.name }
  var request: Request { message.request }
  var replies: [Reply] { answers.map(\.reply) }

  func heard(_ reply: Reply) throws(DFSError) -> Reply {
    try Message.answer(in: reply, by: "DFS2").reply
  }
}

extension Samples {
  /// One or more of every request (but those that have a body), and of every answer.
  static var exchanges: [any Exchange] {
    loginExchanges + rowExchanges + partExchanges + otherExchanges
  }

  private static var loginExchanges: [any Exchange] {
    [
      Sample(hello, greeting),
      Sample(Request.LoginBegin(scram: "n,,n=a,r=b"), .init(scram: "r=b")),
      Sample(
        Request.LoginEnd(scram: ""), .init(scram: "v=c", namespace: .init(high: 0, low: 1)),
        .init(scram: "", namespace: nil)),
      Sample(Request.Ping(), .init(head)),
    ] + Request.Lease.Step.allCases.map { Sample(Request.Lease($0, pushes: 70_000), .init(head)) }
  }

  private static var rowExchanges: [any Exchange] {
    let steps = namespaceRequests.map { Sample(Request.Namespace($0)) }
    let answered = namespaceReplies.map {
      Sample(
        Request.Namespace(
          namespaceRequests[4], parts: [inline], held: [part, part], durable: true), $0)
    }
    return steps + answered + [
      Sample(Request.Query(queries), .init(answers, head: head)), Sample(Request.Query([])),
      Sample(Request.RefillBegin(view, own: nil), .begun, .refused(.behind(head))),
      Sample(Request.RefillBegin(view, own: .init(head: head, without: rows.map(\.key)))),
      Sample(Request.RefillBegin(view, own: .init(head: head, without: []))),
      Sample(Request.RefillRows(rows), .init()), Sample(Request.RefillChanges([entry]), .init()),
      Sample(Request.RefillEnd(view, to: head), .installed(head)),
    ]
  }

  private static var partExchanges: [any Exchange] {
    [
      Sample(Request.GetPart(part, range: 0..<0), pieces[0].0),
      Sample(Request.GetPart(part, range: 100..<65537)),
      Sample(Request.GetPart(part, range: 65536..<65536 + UInt64(Limits.chunkBytes))),
      Sample(Request.PutPart(pieces[0].0, durable: false), .init()),
      Sample(Request.SyncParts([part]), .init()), Sample(Request.DropParts([part, part]), .init()),
      Sample(
        Request.GetSmallParts([part, part]), .init([inline], head: head), .init([], head: nil)),
      Sample(Request.GetBytes(part, range: 0..<1), .init([]), .init([7])),
      Sample(
        Request.GetBytes(part, range: 70_000..<70_000 + UInt64(Wire.rangeBytes)),
        .init([UInt8](repeating: 9, count: Wire.rangeBytes))),
      Sample(Request.Copies([version]), .init([PartIndex.all, [], [PartIndex(2)]])),
      Sample(Request.Hold([version]), .init()), Sample(Request.Release([]), .init()),
    ]
  }

  private static var otherExchanges: [any Exchange] {
    [
      Sample(
        Request.Space(),
        SpaceReport(total: Limits.storeBytes, available: 1, used: 2, inodes: 3)),
      Sample(
        Request.Missing(after: part, limit: 100, claims: true), .init([missing], total: 3)),
      Sample(Request.Missing(after: nil, limit: 0, claims: false), .init([], total: 0)),
      Sample(Request.Health(), health), Sample(Request.Scrub(), .init()),
      Sample(Request.Join(.random()), .init()),
    ]
  }
}
