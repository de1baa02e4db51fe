import Foundation
import Testing

/// What a script makes is what the repository has.
@Suite struct GeneratedRules {
  /// (Nobody needs protoc for this one; what it makes of dfs.proto, the compiler compares with it.)
  @Test func theEnumsOfMessagesAreThoseOfTheProto() throws {
    let generator = Process()
    generator.executableURL = Repository.root.appending(path: "scripts/generate-protobuf")
    generator.arguments = ["messages"]
    let output = Pipe()
    generator.standardOutput = output
    try generator.run()
    let made = try output.fileHandleForReading.readToEnd() ?? Data()
    generator.waitUntilExit()
    #expect(generator.terminationStatus == 0)
    let kept = try #require(Repository.file("Sources/DFSWire/Generated/Messages.swift"))
    #expect(String(decoding: made, as: UTF8.self) == kept.text, "run scripts/generate-protobuf")
  }
}
