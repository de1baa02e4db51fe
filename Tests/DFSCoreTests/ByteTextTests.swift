import DFSConfiguration
import DFSCore
import DFSSystem
import Foundation
import Testing

/// Bytes pass through Strings and come back.
@Suite struct ByteTextTests {
  /// Random bytes, of which many are nearly UTF-8, or just what stands for other bytes.
  private static func sample(_ random: inout SystemRandomNumberGenerator) -> [UInt8] {
    let pieces: [[UInt8]] = [
      Array("x".utf8), Array("é".utf8), Array("\u{301}".utf8), Array("語".utf8), Array("😀".utf8),
      Array("\u{fffd}".utf8), Array("\u{10fe80}".utf8), Array("\u{10feff}".utf8),
      Array("\u{10fe7f}".utf8), Array("\u{10ff00}".utf8), Array("/".utf8), [0xff], [0x80],
      [0xc3], [0xe8, 0xaa], [0xf4, 0x8f, 0xbb], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90],
      [UInt8.random(in: 1 ... .max, using: &random)],
    ]
    return (0..<Int.random(in: 0...8, using: &random)).flatMap { _ in
      pieces.randomElement(using: &random) ?? []
    }
  }

  @Test func bytesComeBackAndDifferentOnesStayDifferent() {
    var random = SystemRandomNumberGenerator()
    var seen: [[Unicode.Scalar]: [UInt8]] = [:]
    for _ in 0..<20_000 {
      let bytes = Self.sample(&random)
      let text = ByteText.text(of: bytes)
      #expect(ByteText.bytes(of: text) == bytes, "\(bytes)")
      #expect(text.systemPath.dropLast().map { UInt8(bitPattern: $0) } == bytes)
      let other = seen.updateValue(bytes, forKey: Array(text.unicodeScalars))
      #expect(other == nil || other == bytes, "\(bytes) and \(other ?? []) have one text")
      let isUTF8 = String(validating: bytes, as: UTF8.self) != nil
      #expect((ByteText.unicode(text) != nil) == isUTF8, "\(bytes)")
    }
  }

  /// Texts are put together and taken apart like the bytes.
  @Test func joiningAndSplittingAtASlashAreTheSameForBoth() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2_000 {
      let (left, right) = (Self.sample(&random), Self.sample(&random))
      let path = ByteText.text(of: left) + "/" + ByteText.text(of: right)
      #expect(ByteText.bytes(of: path) == left + [UInt8(ascii: "/")] + right)
      let directory = (left + [UInt8(ascii: "/")] + right).reversed()
        .drop { $0 != UInt8(ascii: "/") }.dropFirst().reversed()
      if !directory.isEmpty {
        #expect(ByteText.bytes(of: ByteText.directory(of: path)) == Array(directory))
      }
    }
  }

  @Test func textIsItselfAndPeopleSeeWhatIsNone() {
    #expect(ByteText.text(of: Array("naïve/文.txt".utf8)) == "naïve/文.txt")
    #expect(ByteText.text(of: [0x78, 0xff]).printable == "x\\xff")
    #expect(ByteText.text(of: Array("x\u{fffd}".utf8)).printable == "x\u{fffd}")
    #expect(ByteText.text(of: Array("a\nb".utf8)).printable == "a\\x0ab")
    #expect("a\u{10feff}\nb\u{7}".printableLines == "a\\xff\nb\\x07")
    // Somebody's name with one of the scalars that stand for bytes.
    #expect(ByteText.text(of: Array("\u{10feff}".utf8)).printable == "\\xf4\\x8f\\xbb\\xbf")
  }

  /// For libraries that take UTF-8 only there is another way to the same file.
  @Test func aPlainPathLeadsToTheSamePlace() throws {
    let place = NSTemporaryDirectory() + "dfs-bytes-\(UUID().uuidString)"
    let directory = place + "/" + ByteText.text(of: [0x64, 0xff]) + "/e"
    try ByteText.makeDirectories(directory)
    defer { try? FileManager.default.removeItem(atPath: place) }
    let plain = try ByteText.plainPath(directory + "/f")
    #expect(String(validating: plain.utf8, as: UTF8.self) != nil && plain.hasSuffix("/e/f"))
    try "there".write(toFile: plain, atomically: false, encoding: .utf8)
    var bytes = [UInt8](repeating: 0, count: 10)
    let file = open((directory + "/f").systemPath, O_RDONLY)
    defer { close(file) }
    #expect(read(file, &bytes, 10) == 5)
    #expect(plain.printable == place + "/d\\xff/e/f")
    #expect(try ByteText.plainPath(place) == place)
    #expect(throws: DFSError.self) {
      try ByteText.plainPath(place + "/" + ByteText.text(of: [0xfe]))
    }
  }

  /// dfc.conf: paths may be any bytes, all else is text.
  @Test func pathsInAConfigurationKeepTheirBytes() throws {
    let place = NSTemporaryDirectory() + "dfs-bytes-\(UUID().uuidString)"
    let directory = place + "/" + ByteText.text(of: [0xfe])
    try ByteText.makeDirectories(directory)
    defer { try? FileManager.default.removeItem(atPath: place) }
    let conf = directory + "/" + ByteText.text(of: [0xfd])
    func read(_ lines: [UInt8]) throws -> ClientConfiguration {
      let servers = (1...4).map { "Server DFS\($0) h:100\($0)\n" }.joined()
      let all = Array(servers.utf8) + lines
      let file = open(conf.systemPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
      defer { close(file) }
      #expect(write(file, all, all.count) == all.count)
      return try ClientConfiguration.read(path: conf)
    }
    let configuration = try read(
      Array("# Caf".utf8) + [0xe9] + Array("\nCache-Directory c".utf8) + [0xff]
        + Array("\nPassword-File /p".utf8) + [0xfc, 0x0a])
    #expect(configuration.cacheDirectory == directory + "/c" + ByteText.text(of: [0xff]))
    #expect(configuration.passwordFile == "/p" + ByteText.text(of: [0xfc]))
    #expect(try read(Array("Password \u{10feff}".utf8)).password == "\u{10feff}")
    #expect {
      try read(Array("Password p".utf8) + [0xff])
    } throws: { error in
      "\(error)".contains("Password is not text in UTF-8")
    }
  }

  @Test func jsonHasNoControlCharacters() {
    let json = ByteText.escapingControls(inJSON: #"{"a":"ü\#u{7f}\#u{9b}31m\#u{a0}"}"#.utf8)
    #expect(String(decoding: json, as: UTF8.self) == #"{"a":"ü\u007f\u009b31m\#u{a0}"}"#)
  }
}
