internal import DFSCore

/// What servers say in words. It is shown to people and logged, so it is made harmless where it comes in:
/// control characters and line breaks are escaped, and it has at most `limit` characters.
enum ServerText {
  static let limit = 1000

  static func shown(_ text: String) -> String {
    let text = text.utf8.count > limit ? String(text.unicodeScalars.prefix(limit)) + "…" : text
    return text.printable
  }
}
