import CEdit
import DFSCore
import Glibc
import Synchronization

/// What is typed at the prompt, character by character. libedit by itself drops bytes that are not
/// UTF-8, so that another file would be named than the one that was meant; here they become the
/// characters that stand for them (`ByteText`).
enum PromptInput {
  /// Characters that were read and not yet given to libedit.
  private static let ready = Mutex<ArraySlice<Int32>>([])

  /// libedit reads through this from now on; it needs a locale of UTF-8.
  static func begin() {
    if String(cString: nl_langinfo(nl_item(CODESET))) != "UTF-8" { setlocale(LC_CTYPE, "C.UTF-8") }
    dfs_edit_read_with { _ in PromptInput.next() }
  }

  /// - Returns: -1 at the end.
  private static func next() -> Int32 {
    if let scalar = ready.withLock({ $0.popFirst() }) { return scalar }
    guard let first = byte() else { return -1 }
    var bytes = [first]
    while bytes.count < ByteText.width(of: first), let next = byte() {
      bytes.append(next)
      // What is no continuation does not belong to it, and may be a key that ends the line.
      if next & 0xc0 != 0x80 { break }
    }
    let scalars = ByteText.text(of: bytes).unicodeScalars.map { Int32(bitPattern: $0.value) }
    ready.withLock { $0 = scalars.dropFirst() }
    return scalars.first ?? -1
  }

  private static func byte() -> UInt8? {
    var byte: UInt8 = 0
    while true {
      let count = read(STDIN_FILENO, &byte, 1)
      if count == 1 { return byte }
      if count == 0 || errno != EINTR { return nil }
    }
  }
}
