import DFSCore

/// Splits a line of the prompt into words, as a shell quotes them: '…' takes everything as it is,
/// "…" and bare words take a backslash before a character that is meant as itself, and $'…' takes
/// bytes that nobody can type: \xHH and \OOO, and \n, \t and the like, as bash does.
struct Words {
  private var rest: ArraySlice<Unicode.Scalar>
  private var words: [String] = []
  /// Of the word that has begun.
  private var bytes: [UInt8]?
  /// The quote that is open, with `$` for `$'…'`.
  private var quote: Unicode.Scalar?

  /// - Parameter line: all its bytes, as `ByteText` has them.
  /// - Returns: no words for an empty line and for a comment (its first word begins with `#`). The
  ///   words are texts of bytes, too.
  static func split(_ line: String) throws(DFSError) -> [String] {
    var words = Words(rest: Array(line.unicodeScalars)[...])
    try words.split()
    words.finish()
    return words.words
  }

  /// A line that is still being typed.
  struct Unfinished {
    /// Those before the last one.
    let words: [String]
    /// As far as it was typed, without its quotes.
    let last: [UInt8]
    let quote: Unicode.Scalar?

    /// What is to be typed for these bytes, which go on with the last word.
    /// - Returns: nil if they cannot be typed there: a control character, or the end of the quote.
    func quoted(_ more: ArraySlice<UInt8>) -> String? {
      let special = Self.special[quote ?? " "] ?? ""
      var text = ""
      for scalar in ByteText.text(of: more).unicodeScalars {
        guard scalar.properties.generalCategory != .control, quote != "'" || scalar != "'" else {
          return nil
        }
        text += special.unicodeScalars.contains(scalar) ? "\\\(scalar)" : "\(scalar)"
      }
      return text
    }

    /// What takes a backslash in each quote; a blank is for none.
    private static let special: [Unicode.Scalar: String] = [
      " ": " \t\\'\"#$", "\"": "\\\"", "$": "\\'",
    ]

    /// What ends the word.
    var end: String { (quote.map { $0 == "$" ? "'" : "\($0)" } ?? "") + " " }
  }

  /// - Returns: nil if nothing can go on there: the line is a comment, or ends with a backslash.
  static func unfinished(_ line: String) -> Unfinished? {
    var words = Words(rest: Array(line.unicodeScalars)[...])
    do throws(DFSError) {
      try words.split()
    } catch {
      guard words.quote != nil, line.last != "\\" else { return nil }
    }
    guard words.rest.isEmpty else { return nil }
    return Unfinished(words: words.words, last: words.bytes ?? [], quote: words.quote)
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
    self.quote = quote
    let problem = "the line has a \(quote) without its partner"
    while true {
      let scalar = try next(problem)
      if scalar == quote { return self.quote = nil }
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
    quote = "$"
    let problem = "the line has a $' without its partner"
    while true {
      let scalar = try next(problem)
      if scalar == "'" { return quote = nil }
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
