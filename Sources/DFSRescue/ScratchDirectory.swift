internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import Foundation
internal import Glibc

/// A directory for copies of databases, in $TMPDIR, removed with the object.
final class ScratchDirectory: Sendable {
  let path: String
  private static let pieceBytes = 1 << 20

  init() throws(DFSError) {
    let parent = try ByteText.plainPath(ByteText.environment("TMPDIR") ?? "/tmp")
    var template = Array("\(parent)/dfs-rescue-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw .system("making a temporary directory (TMPDIR says where) in", parent)
    }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func makeDirectory(_ name: String) throws(DFSError) -> String {
    let directory = "\(path)/\(name)"
    _ = try Disk.makeUnsyncedDirectory(directory)
    return directory
  }

  /// Copies a file; that there is none is fine.
  /// - Returns: whether there is one.
  static func copy(_ source: String, to destination: String) throws(DFSError) -> Bool {
    let from: File
    do {
      from = try File(source, flags: O_RDONLY)
    } catch {
      if error.code == .notFound { return false }
      throw error
    }
    let length = try from.length()
    let to = try File(destination, flags: O_RDWR | O_CREAT | O_EXCL)
    do throws(DFSError) {
      for offset in stride(from: 0, to: length, by: UInt64.Stride(pieceBytes)) {
        let bytes = try from.read(
          count: Int(min(UInt64(pieceBytes), length - offset)), at: offset)
        try bytes.withBytes { bytes throws(DFSError) in
          try to.write(bytes, at: offset)
        }
      }
    } catch {
      guard error.code == .noSpace else { throw error }
      throw DFSError(
        .noSpace,
        "no room for a copy of \(source) (\(length) bytes), through which it is read; set TMPDIR "
          + "to a directory with more", cause: error)
    }
    return true
  }
}
