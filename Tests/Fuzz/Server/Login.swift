import DFSCore
import DFSTestSupport
import DFSWire

/// The frames of a login, made by hand so that they can be mutated too.
struct Login {
  static let pingID: UInt64 = 1 << 40
  private static let cache = ScramCache()

  let server: String
  let user: String
  var password = FourServers.password

  var hello: RawFrame {
    let fields = [
      Field(number: 1, value: .varint(UInt64(Wire.version))),
      Field(number: 2, value: .bytes(Array("default".utf8))),
      Field(number: 3, value: .bytes(Array(server.utf8))),
      Field(number: 4, value: .fixed64(ClientID.random().value)),
      Field(number: 5, value: .varint(1)),
    ]
    return RawFrame(
      header: [Field(number: 1, value: .varint(1)), Field(number: 10, value: .message(fields))])
  }

  static func scram(_ kind: UInt64, _ text: String, id: UInt64) -> RawFrame {
    let fields = [Field(number: 1, value: .bytes(Array(text.utf8)))]
    return RawFrame(
      header: [Field(number: 1, value: .varint(id)), Field(number: kind, value: .message(fields))])
  }

  static var ping: RawFrame {
    RawFrame(
      header: [
        Field(number: 1, value: .varint(pingID)), Field(number: 13, value: .message([])),
      ])
  }

  /// Logs in on a fresh connection.
  /// - Throws: if the server refuses, or takes longer than `seconds` for a step.
  func perform(on line: Line, within seconds: Double) throws {
    _ = try ask(line, hello, 40, seconds)
    var scram = ScramClient(user: user, password: password, cache: Self.cache)
    let challenge = try ask(line, Self.scram(11, scram.first(), id: 2), 41, seconds)
    let proof = try scram.respond(to: Self.text(of: challenge))
    let done = try ask(line, Self.scram(12, proof, id: 3), 42, seconds)
    try scram.verify(serverFinal: Self.text(of: done))
  }

  private func ask(
    _ line: Line, _ request: RawFrame, _ kind: UInt64, _ seconds: Double
  ) throws -> RawFrame {
    var answer: RawFrame?
    _ = try line.exchange(request.encoded, within: seconds) { frame in
      answer = frame
      return true
    }
    guard let answer, answer.kind == kind else {
      throw FuzzFailure(
        "the login of \(user) was not answered as it should be: \(answer?.kind ?? 0)")
    }
    return answer
  }

  private static func text(of frame: RawFrame) -> String {
    let inner = frame.header.bytes(frame.kind).flatMap { [Field]($0[...]) }
    return String(decoding: inner?.bytes(1) ?? [], as: UTF8.self)
  }
}
