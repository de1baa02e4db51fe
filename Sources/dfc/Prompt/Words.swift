import DFSCore

/// Splits a line of the prompt into words, as a shell quotes them: '…' takes everything as it is,
/// "…" and bare words take a backslash before a character that is meant as itself, and $'…' takes
/// bytes that nobody can type: \xHH and \OOO, and \n, \t and the like, as bash does.
struct Words {
  private var rest: ArraySlice<Unicode.Scalar>
  private var words: [String] = []
  /// Of the word that has begun.
  private var bytes: [UInt8]?

  /// - Parameter line: all its bytes, as `ByteText` has them.
  /// - Returns: no words for an empty line and for a comment (its first word begins with `#`). The
  ///   words are texts of bytes, too.
  static func split(_ line: String) throws(DFSError) -> [String] {
    var words = Words(rest: Array(line.unicodeScalars)[...])
    try words.split()
    return words.words
  }

  private init(rest: ArraySlice<Unicode.Scalar>) { self.rest = rest }

  private mutating func split() throws(DFSError) {
    while let scalar = rest.popFirst() {
      switch scalar {
      case "#" where words.isEmpty && bytes == nil: return
      case "$" where rest.first == "'":
        rest.removeFirst()
        try takeEscaped()
      case "'", "\"": try take(until: scalar)
      case "\\": append(try next("the line ends with a backslash"))
      case _ where scalar.properties.isWhitespace: finish()
      default: append(scalar)
      }
    }
    finish()
  }

  private mutating func append(_ scalar: Unicode.Scalar) { append(ByteText.bytes(of: "\(scalar)")) }
  private mutating func append(_ more: [UInt8]) { bytes = (bytes ?? []) + more }

  private mutating func finish() {
    if let bytes { words.append(ByteText.text(of: bytes)) }
    bytes = nil
  }

  private mutating func next(_ problem: String) throws(DFSError) -> Unicode.Scalar {
    guard let scalar = rest.popFirst() else { throw DFSError(.configuration, problem) }
    return scalar
  }

  // MARK: Quotes

  private mutating func take(until quote: Unicode.Scalar) throws(DFSError) {
    append([])
    let problem = "the line has a \(quote) without its partner"
    while true {
      let scalar = try next(problem)
      if scalar == quote { return }
      guard quote == "\"", scalar == "\\" else {
        append(scalar)
        continue
      }
      let escaped = try next(problem)
      if escaped != "\\", escaped != "\"" { append("\\") }
      append(escaped)
    }
  }

  private static let letters: [Unicode.Scalar: UInt8] = [
    "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27, "E": 27,
    "\\": UInt8(ascii: "\\"), "'": UInt8(ascii: "'"), "\"": UInt8(ascii: "\""),
    "?": UInt8(ascii: "?"),
  ]

  /// What stands between `$'` and `'`.
  private mutating func takeEscaped() throws(DFSError) {
    append([])
    let problem = "the line has a $' without its partner"
    while true {
      let scalar = try next(problem)
      if scalar == "'" { return }
      guard scalar == "\\" else {
        append(scalar)
        continue
      }
      let letter = try next(problem)
      if let byte = Self.letters[letter] {
        append([byte])
      } else if letter == "x", let byte = number(radix: 16, digits: 2, after: "") {
        append([byte])
      } else if let byte = number(radix: 8, digits: 3, after: "\(letter)") {
        append([byte])
      } else {
        throw DFSError(
          .configuration, "$'…' knows no '\\\(letter)'; a byte is \\xHH, a backslash \\\\")
      }
    }
  }

  /// The number that `start` and the next scalars are, as far as they are digits.
  private mutating func number(radix: Int, digits: Int, after start: String) -> UInt8? {
    var text = start
    while text.utf8.count < digits, let digit = rest.first, digit.isASCII,
      Int("\(digit)", radix: radix) != nil
    {
      text += "\(digit)"
      rest.removeFirst()
    }
    return Int(text, radix: radix).flatMap { UInt8(exactly: $0) }
  }
}
