import Testing

@testable import DFSCore

/// Names, numbers, times, bytes, errors.
@Suite struct ValueTests {
  @Test(arguments: ["Alice", "a", "bob.smith_2@x-y", String(repeating: "a", count: 64)])
  func userNames(_ text: String) throws {
    #expect(try UserName(text).description == text)
  }

  @Test(arguments: [
    "", ".", "..", ".hidden", "a/b", "a b", "ä", "a\u{0}", "a\n", String(repeating: "a", count: 65),
    "../../etc/passwd", "a\\b", "~",
  ])
  func noUserNames(_ text: String) {
    let error = #expect(throws: DFSError.self) { try UserName(text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("\n") == false)
  }

  @Test(arguments: ["a", "...", " ", "über", "a\nb", "\\", String(repeating: "x", count: 255)])
  func fileNames(_ text: String) throws {
    #expect(try FileName(text).bytes == Array(text.utf8))
  }

  @Test(arguments: ["", ".", "..", "a/b", "/", "a\u{0}b"]) func noFileNames(_ text: String) {
    let error = #expect(throws: DFSError.self) { try FileName(text) }
    #expect(error?.code == .invalidArgument)
  }

  @Test func attributeNamesHaveAnyBytesButNUL() throws {
    for text in [".", "user.a/b", "/", String(repeating: "x", count: 255)] {
      #expect(try AttributeName(text).bytes == Array(text.utf8))
    }
    for text in ["", "a\u{0}b"] {
      let error = #expect(throws: DFSError.self) { try AttributeName(text) }
      #expect(error?.code == .invalidArgument)
    }
    let error = #expect(throws: DFSError.self) {
      try AttributeName(String(repeating: "x", count: 256))
    }
    #expect(error?.code == .outOfRange)
  }

  @Test func aLongNameSaysTheLimit() {
    let error = #expect(throws: DFSError.self) {
      try FileName(Array(repeating: UInt8(97), count: 256))
    }
    #expect(error?.code == .nameTooLong)
    #expect(error?.message.contains("255") == true)
  }

  @Test func namesOfAnyBytesAreOrderedByBytes() throws {
    let names = try [[0xff], [0x61, 0x01], [0x61], [0xc3, 0x28]].map { try FileName($0 as [UInt8]) }
    #expect(names.sorted().map(\.bytes) == [[0x61], [0x61, 1], [0xc3, 0x28], [0xff]])
    #expect(try FileName([0x1b, 0x5b, 0x41]).description == "\\x1b[A")
  }

  @Test func hexadecimal() {
    #expect([UInt8]([0, 1, 0xab, 0xff]).hexadecimal == "0001abff")
    #expect([UInt8](hexadecimal: "0001aBFf") == [0, 1, 0xab, 0xff])
    #expect([UInt8](hexadecimal: "") == [])
    for text in ["0", "0g", "0x10", " 1", "1é"] { #expect([UInt8](hexadecimal: text) == nil) }
    for byte in UInt8(0)...255 { #expect([UInt8](hexadecimal: [byte].hexadecimal) == [byte]) }
  }

  @Test func bigEndianNumbers() {
    #expect(UInt32(0x0102_0304).bigEndianBytes == [1, 2, 3, 4])
    #expect(UInt64(bigEndian: [1, 2]) == 0x0102)
    #expect(UInt16(bigEndian: [1, 2, 3]) == 0x0102)
    #expect(Int64(bigEndian: Int64(-2).bigEndianBytes) == -2)
    #expect(UInt8(bigEndian: []) == 0)
  }

  @Test func versionNumbers() {
    let version = VersionID(high: 1, low: .max)
    #expect(version.description == "0000000000000001ffffffffffffffff")
    #expect(VersionID(bytes: version.bytes) == version)
    #expect(VersionID(bytes: [1, 2, 3]) == nil)
    #expect(VersionID.random() != VersionID.random())
    #expect(PartID(version: version, part: PartIndex(0)).description.hasSuffix(".1"))
  }

  @Test func inodeNumbersAreNeverMadeTwice() {
    var seen: Set<InodeID> = [.root]
    for number in UInt64(1)...100 {
      for index in 0..<256 {
        #expect(seen.insert(InodeID(change: number, index: index)).inserted)
      }
    }
  }

  @Test func indexes() {
    #expect(ServerIndex(checking: 4) == nil && ServerIndex(checking: -1) == nil)
    #expect(PartIndex(checking: 4) == nil && PartIndex(checking: 3) == PartIndex(3))
    #expect(ServerIndex.all.map(\.description) == ["DFS1", "DFS2", "DFS3", "DFS4"])
    #expect(PartIndex.all.map(\.number) == [1, 2, 3, 4])
  }

  @Test(arguments: [
    (Int64(0), 0, 0), (1_500_000_000, 1, 500_000_000), (-1, -1, 999_999_999),
    (-1_000_000_000, -1, 0), (.max, 9_223_372_036, 854_775_807),
    (.min, -9_223_372_037, 145_224_192),
  ])
  func times(_ nanoseconds: Int64, _ seconds: Int, _ fraction: Int) {
    let time = Timestamp(nanoseconds: nanoseconds)
    #expect(time.seconds == seconds)
    #expect(time.fraction == fraction)
    if nanoseconds != .min { #expect(Timestamp(seconds: seconds, nanoseconds: fraction) == time) }
  }

  @Test func timesThatDoNotFitAreTheLastOnes() {
    #expect(Timestamp(seconds: .max, nanoseconds: 0).nanoseconds == .max)
    #expect(Timestamp(seconds: .min, nanoseconds: 0).nanoseconds == .min)
    #expect(Timestamp(seconds: 9_223_372_036, nanoseconds: 999_999_999).nanoseconds == .max)
  }

  @Test func errorsSayFactAndCause() {
    let cause = DFSError(.inputOutput, "disk on fire")
    #expect(DFSError(.noSpace, "no room").description == "no room")
    #expect(DFSError(.noSpace, "no room", cause: cause).description == "no room: disk on fire")
    #expect(Set(DFSError.Code.allCases.map(\.rawValue)).count == DFSError.Code.allCases.count)
  }

  @Test func controlCharactersDoNotReachTheTerminal() {
    #expect("a\u{1b}]0;x\u{7}\u{7f}\u{9b}\n".printable == "a\\x1b]0;x\\x07\\x7f\\x9b\\x0a")
    #expect("grün 🌱".printable == "grün 🌱")
  }

  @Test func viewsAreOrderedByRoundThenClient() {
    let one = View(round: 1, client: ClientID(9))
    let two = View(round: 2, client: ClientID(1))
    #expect(View.none < one && one < two && two < View(round: 2, client: ClientID(2)))
    #expect(one.description == "1/0000000000000009")
  }
}
