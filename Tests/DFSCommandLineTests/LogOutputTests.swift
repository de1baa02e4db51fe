import ArgumentParser
import DFSCore
import Logging
import Testing

@testable import DFSCommandLine

/// Log lines: what came from outside neither ends a line nor reaches a terminal as it is.
@Suite struct LogOutputTests {
  private static let time = Timestamp(seconds: 1_795_000_000, nanoseconds: 7_900_000)

  private func line(
    _ format: LogOutput.Format, _ message: String, _ fields: Logger.Metadata
  ) -> String {
    var output = LogOutput(level: .info, format: format)
    output[metadataKey: "server"] = "DFS1"
    let event = LogEvent(
      level: .notice, message: "\(message)", metadata: fields, source: "test", file: "f",
      function: "f", line: 1)
    return output.line(event, at: Self.time)
  }

  @Test func textHasTimeLevelMessageAndFieldsInOrder() {
    #expect(
      line(.text, "logged in", ["user": "alice", "address": "::1"])
        == "2026-11-18T11:06:40.007Z notice logged in address=::1 server=DFS1 user=alice")
  }

  @Test func jsonHasTheSame() {
    #expect(
      line(.json, "it said \"a\\b\"", ["user": "alice"])
        == #"{"time":"2026-11-18T11:06:40.007Z","level":"notice","message":"it said \"a\\b\"","server":"DFS1","user":"alice"}"#
    )
  }

  @Test(arguments: ["\u{1b}[2J", "a\nb", "\u{7}", "\u{9b}31m", "\r"])
  func controlCharactersAreEscaped(_ text: String) {
    for format in LogOutput.Format.allCases {
      let line = line(format, text, ["name": "\(text)"])
      #expect(
        line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) },
        "\(line.debugDescription)")
    }
  }

  @Test func whatAnEventSaysGoesBeforeWhatTheLoggerSays() {
    #expect(line(.text, "m", ["server": "DFS2"]).hasSuffix(" server=DFS2"))
  }
}
