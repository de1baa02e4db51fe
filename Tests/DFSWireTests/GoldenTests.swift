import DFSCore
import Foundation
import NIOCore
import Testing

@testable import DFSWire

/// The example of docs/FORMATS.md, byte for byte.
@Suite struct GoldenTests {
  /// A frame of the example: who sends it, and what its bytes mean, piece by piece.
  private struct Step {
    let title: String
    let frame: Frame
    let pieces: [(count: Int, meaning: String)]
  }

  @Test func theExampleInTheDocumentIsWhatIsSent() throws {
    let expected = try Self.steps().map { try Self.text(of: $0) }.joined(separator: "\n")
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("docs/FORMATS.md").path
    let document = try String(contentsOfFile: path, encoding: .utf8)
    #expect(document.contains("```\n" + expected + "```\n"), "the example must be:\n\(expected)")
  }

  @Test func theExampleDecodes() throws {
    for step in try Self.steps() {
      #expect(try Stream.frames(of: try Stream.bytes(of: step.frame)) == [step.frame])
    }
  }

  private static func steps() throws -> [Step] {
    try login() + [
      Step(
        title: "→ put_part: part 1 of a version, and its 5 bytes", frame: piece(),
        pieces: [
          (4, "length: 52 bytes follow"), (4, "header: 43 bytes"), (2, "field 1, id: 4"),
          (3, "field 20, put_part: 38 bytes"), (2, "its field 1, extent: 34 bytes"),
          (2, "its field 1, id: 20 bytes"),
          (20, "its field 1, version: 1 and 2; part 0 is a zero, so absent"),
          (2, "its field 2, length: 5"),
          (2, "its field 4, checksums: 8 bytes"), (8, "XXH3-64 of the block, little-endian"),
          (2, "durable: true"), (5, "body: Hello"),
        ]),
      Step(
        title: "← done", frame: Frame(.reply(id: 4, .done(.init()))),
        pieces: [(8, "lengths"), (2, "id: 4"), (3, "field 43, done, which is empty")]),
    ]
  }

  private static func piece() -> Frame {
    let id = PartID(version: VersionID(high: 1, low: 2), part: PartIndex(0))
    let bytes = Array("Hello".utf8)
    let extent = PartExtent(id: id, length: 5, offset: 0, checksums: [BlockChecksum.of(bytes)])
    return Frame(
      .request(id: 4, .putPart(.init(extent, durable: true))), body: ByteBuffer(bytes: bytes))
  }

  private static func login() throws -> [Step] {
    let hello = Request.Hello(
      version: 2, cluster: "default", server: "DFS1", client: ClientID(0x0102_0304_0506_0708),
      wantsPushes: true)
    let greeting = Reply.Greeting(
      version: 2, cluster: "default", server: "DFS1",
      identity: "00112233445566778899aabbccddeeff", software: "dfs 1.1",
      clusterID: ClusterID(high: 0x3f9c, low: 1))
    let salt = try #require(Scram.bytes(base64: "W22ZaJ0SNY7soEsUEjb6gQ=="))
    var client = ScramClient(user: "Alice", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO")
    var server = ScramServer(
      verifier: try ScramVerifier(password: "pencil", salt: salt, iterations: 4096),
      nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    let clientFirst = client.first()
    let serverFirst = try server.first(clientFirst)
    let clientFinal = try client.respond(to: serverFirst)
    let serverFinal = try server.final(clientFinal)
    return [
      Step(
        title: "→ hello", frame: Frame(.request(id: 1, .hello(hello))),
        pieces: [
          (4, "length: 36 bytes follow"), (4, "header: 32 bytes"), (2, "field 1, id: 1"),
          (2, "field 10, hello: 28 bytes"), (2, "its field 1, version: 2"),
          (9, "field 2, cluster: default"), (6, "field 3, server: DFS1"),
          (9, "field 4, client: 0x0102030405060708, little-endian"),
          (2, "field 5, wants_pushes: true"),
        ]),
      Step(
        title: "← greeting", frame: Frame(.reply(id: 1, .greeting(greeting))),
        pieces: [
          (8, "lengths"), (2, "id: 1"), (3, "field 40, greeting: 80 bytes"), (2, "version: 2"),
          (9, "cluster: default"), (6, "server: DFS1"),
          (34, "identity: 00112233445566778899aabbccddeeff"), (9, "software: dfs 1.1"),
          (20, "field 6, cluster_identity: its two halves, little-endian"),
        ]),
      scram("→ login_begin", .request(id: 2, .loginBegin(.init(scram: clientFirst))), clientFirst),
      scram(
        "← login_continue", .reply(id: 2, .loginContinue(.init(scram: serverFirst))), serverFirst),
      scram("→ login_end", .request(id: 3, .loginEnd(.init(scram: clientFinal))), clientFinal),
      scram(
        "← login_done", .reply(id: 3, .loginDone(.init(scram: serverFinal, namespace: nil))),
        serverFinal),
    ]
  }

  /// The text is the end of the frame, behind its tag and length.
  private static func scram(_ title: String, _ message: Message, _ text: String) -> Step {
    let isLong = text.utf8.count > 127
    let isReply = title.hasPrefix("←")
    return Step(
      title: title, frame: Frame(message),
      pieces: [
        (8, "lengths"), (2, "id"),
        ((isReply ? 3 : 2) + (isLong || text.utf8.count > 125 ? 1 : 0), title.dropFirst(2) + ""),
        ((isLong ? 3 : 2), "its field 1, text:"), (text.utf8.count, text),
      ])
  }

  /// The title, then a line for each piece, 16 bytes a line.
  private static func text(of step: Step) throws -> String {
    var bytes = Array(try Stream.bytes(of: step.frame).readableBytesView)[...]
    var text = step.title + "\n"
    for piece in step.pieces {
      var rest = bytes.prefix(piece.count)
      #expect(rest.count == piece.count, "\(step.title): \(piece.meaning)")
      bytes = bytes.dropFirst(piece.count)
      var meaning = piece.meaning
      while !rest.isEmpty {
        let hex = rest.prefix(16).hexadecimal
        text +=
          "  "
          + (meaning.isEmpty
            ? hex : hex.padding(toLength: 34, withPad: " ", startingAt: 0) + meaning)
          + "\n"
        rest = rest.dropFirst(16)
        meaning = ""
      }
    }
    #expect(bytes.isEmpty, "\(step.title): \(bytes.count) bytes are not explained: \(bytes)")
    return text
  }
}
