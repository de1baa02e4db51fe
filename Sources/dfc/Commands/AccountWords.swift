import DFSConfiguration
import DFSCore

/// The user name and password that may follow a single file, as in the original:
/// `put notes.txt alice secret`.
///
/// Three words could be three files as well. They are a file and an account if neither of the last
/// two is a local file (put) or the last is no local directory (get), no slash is in the user name
/// and none ends the password. --user and --password-file have no such doubt.
enum AccountWords {
  static let explanation = """
    After a single FILE a user name and a password may follow, instead of those of the \
    configuration. Exactly three words are read so unless the last ends with a slash or the last \
    words exist here. Others can see words of a command line while it runs; prefer --user with \
    --password-file.
    """

  /// - Returns: the file and the account; nil if the words are files.
  static func split(_ words: [String], ifAbsent checked: ArraySlice<String>) throws(DFSError)
    -> (file: String, account: Credentials)?
  {
    guard words.count == 3, !words[2].hasSuffix("/"), let user = try? UserName(words[1])
    else { return nil }
    for word in checked where try LocalPath(word).status() != nil { return nil }
    guard let password = ByteText.unicode(words[2]) else {
      throw DFSError(.configuration, "the password on the command line is not text in UTF-8")
    }
    return (words[0], Credentials(user: user, password: password))
  }

  /// Whether the words of a line could hold a password, whatever was meant.
  static func mayHoldPassword(_ words: [String]) -> Bool {
    let operands = words.filter { !$0.hasPrefix("-") || $0 == "-" }
    return operands.count >= 3 && operands.last?.hasSuffix("/") != true
      && operands.last.map { (try? LocalPath($0).status()) == nil } == true
  }
}
