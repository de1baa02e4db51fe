import DFSCore

/// Splits a line of the prompt into words, as a shell quotes them: '…' takes everything as it is,
/// "…" and bare words take a backslash before a character that is meant as itself.
enum Words {
  /// - Returns: no words for an empty line and for a comment (its first word begins with `#`).
  static func split(_ line: String) throws(DFSError) -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var characters = line[...]
    while let character = characters.popFirst() {
      switch character {
      case "\\" where quote != "'":
        guard let next = characters.popFirst() else {
          throw DFSError(.configuration, "the line ends with a backslash")
        }
        word = (word ?? "") + (quote != nil && !"\\\"".contains(next) ? "\\\(next)" : "\(next)")
      case quote:
        quote = nil
      case "'", "\"":
        if quote == nil { (quote, word) = (character, word ?? "") } else { word?.append(character) }
      case _ where character.isWhitespace && quote == nil:
        if let word { words.append(word) }
        word = nil
      case "#" where words.isEmpty && word == nil:
        return []
      default:
        word = (word ?? "") + "\(character)"
      }
    }
    if let quote {
      throw DFSError(.configuration, "the line has a \(quote) without its partner")
    }
    return words + (word.map { [$0] } ?? [])
  }
}
