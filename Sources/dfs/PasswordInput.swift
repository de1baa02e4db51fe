internal import DFSCore
import DFSSystem
internal import Glibc

/// Where a new password comes from: a file, a terminal (twice, without echo), or standard input.
enum PasswordInput {
  static func read(file: String?, user: UserName) throws(DFSError) -> String {
    if let file { return try PasswordSource.sharedFile(file).read() }
    guard isatty(STDIN_FILENO) == 1 else {
      return try PasswordSource.descriptor(STDIN_FILENO).read()
    }
    let password = try PasswordSource.terminal(prompt: "Password for \(user): ").read()
    guard try PasswordSource.terminal(prompt: "Again: ").read() == password else {
      throw DFSError(.configuration, "the passwords differ; nothing was changed")
    }
    return password
  }

  /// A password of 120 random bits, in letters and digits that are hard to mistake for others.
  static func generated() -> String {
    let letters = Array("0123456789abcdefghjkmnpqrstvwxyz")
    var generator = SystemRandomNumberGenerator()
    let text = (0..<24).map { _ in letters[Int.random(in: 0..<32, using: &generator)] }
    return stride(from: 0, to: 24, by: 4).map { String(text[$0..<$0 + 4]) }.joined(separator: "-")
  }
}
