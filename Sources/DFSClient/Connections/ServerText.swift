internal import DFSCore

/// What servers say in words. It is shown to people and logged, so it is made harmless where it comes in:
/// control characters and line breaks are escaped, and it has at most `bound` characters.
enum ServerText {
  static let bound = 1000

  static func shown(_ text: String) -> String {
    let text = text.utf8.count > bound ? String(text.unicodeScalars.prefix(bound)) + "…" : text
    return text.printable
  }
}
