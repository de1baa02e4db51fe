internal import Glibc
internal import Synchronization

/// Bytes in a String, and back: file names and paths need not be UTF-8, but much of what they pass
/// through takes Strings only (the words of a command line, settings, arguments of a process).
///
/// A byte that is no part of UTF-8 stands as one scalar of U+10FE80…U+10FEFF, its value in the last
/// eight bits. These scalars belong to no script; where a name has one of them, it stands as its four
/// bytes. All other text stands as itself. So `bytes(of: text(of: b)) == b` for all bytes, and the
/// scalars of two texts differ where the bytes do.
///
/// A path in a String is such a text everywhere in this program. It reaches the system by
/// `systemPath`, and people by `printable`.
public enum ByteText {
  private static let first: UInt32 = 0x10fe00
  private static let escapes: ClosedRange<UInt32> = first + 0x80...first + 0xff

  /// The text that stands for these bytes; `bytes(of:)` gives them back.
  public static func text(of bytes: some Collection<UInt8>) -> String {
    let bytes = Array(bytes)
    if let text = String(validating: bytes, as: UTF8.self), !isEscaped(text) { return text }
    var text = String.UnicodeScalarView()
    var index = 0
    while index < bytes.count {
      let end = index + width(of: bytes[index])
      if end <= bytes.count,
        let scalar = String(validating: bytes[index..<end], as: UTF8.self)?.unicodeScalars.first,
        !escapes.contains(scalar.value)
      {
        text.append(scalar)
        index = end
      } else {
        if let scalar = Unicode.Scalar(first + UInt32(bytes[index])) { text.append(scalar) }
        index += 1
      }
    }
    return String(text)
  }

  /// - Parameter string: bytes up to a NUL.
  public static func text(of string: UnsafePointer<CChar>) -> String {
    text(of: UnsafeRawBufferPointer(start: string, count: strlen(string)))
  }

  /// The bytes that a text stands for, which need not be UTF-8.
  public static func bytes(of text: some StringProtocol) -> [UInt8] {
    guard isEscaped(text) else { return Array(text.utf8) }
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if let byte = byte(of: scalar) { bytes.append(byte) } else { bytes += String(scalar).utf8 }
    }
    return bytes
  }

  /// What a text says in Unicode; nil if its bytes are no UTF-8.
  public static func unicode(_ text: some StringProtocol) -> String? {
    isEscaped(text) ? String(validating: bytes(of: text), as: UTF8.self) : String(text)
  }

  /// The byte that a scalar stands for.
  static func byte(of scalar: Unicode.Scalar) -> UInt8? {
    escapes.contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : nil
  }

  /// Whether the text stands for bytes that are not UTF-8.
  public static func isEscaped(_ text: some StringProtocol) -> Bool {
    text.utf8.contains(0xf4) && text.unicodeScalars.contains { escapes.contains($0.value) }
  }

  /// The bytes of a character, by its first; of what begins none, 1.
  public static func width(of first: UInt8) -> Int {
    switch first {
    case 0xc2...0xdf: 2
    case 0xe0...0xef: 3
    case 0xf0...0xf4: 4
    default: 1
    }
  }

  // MARK: Aliases

  /// Paths that stand for others.
  private static let aliases = Mutex<[(alias: String, path: String)]>([])
  private static let hasAliases = Atomic(false)

  /// Has `printable` show `path` where a text says `alias`, which begins with `/proc/self/fd/`.
  public static func note(alias: String, of path: String) {
    aliases.withLock { $0.append((alias, path)) }
    hasAliases.store(true, ordering: .releasing)
  }

  /// The text with the names that people know in the place of those that `plainPath` gave.
  static func unaliased(_ text: String) -> String {
    guard hasAliases.load(ordering: .acquiring), text.contains("/proc/self/fd/") else {
      return text
    }
    return aliases.withLock { $0 }.sorted { $0.alias.utf8.count > $1.alias.utf8.count }
      .reduce(text) { $0.replacing($1.alias, with: $1.path) }
  }
}

extension ByteText {
  /// JSON with the control characters escaped that encoders leave as they are: DEL, and U+0080 to U+009F,
  /// of which U+009B begins the same sequences of a terminal as ESC [.
  public static func escapingControls(inJSON text: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for byte in text {
      if byte == 0x7f {
        result += "\\u007f".utf8
      } else if result.last == 0xc2, byte < 0xa0 {
        result.removeLast()
        result += "\\u00".utf8 + Array([byte].hexadecimal.utf8)
      } else {
        result.append(byte)
      }
    }
    return result
  }
}

extension String {
  /// The path, or another word, as the system's calls take it.
  public var systemPath: [CChar] { ByteText.bytes(of: self).map(CChar.init(bitPattern:)) + [0] }

  /// The text with its control characters escaped, and the bytes that are not UTF-8 (`ByteText`), so
  /// that a name from a user's tree can neither forge a line of a log nor drive the terminal.
  public var printable: String {
    ByteText.unaliased(self).unicodeScalars.map { scalar in
      let byte =
        scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
        ? UInt8(truncatingIfNeeded: scalar.value) : ByteText.byte(of: scalar)
      return byte.map { "\\x" + [$0].hexadecimal } ?? String(scalar)
    }.joined()
  }

  /// The same for text of several lines.
  public var printableLines: String {
    unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
      .map { String($0).printable }.joined(separator: "\n")
  }
}
