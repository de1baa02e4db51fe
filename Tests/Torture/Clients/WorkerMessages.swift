/// What the torture asks a worker for, and what the worker tells: one JSON object a line.

struct WorkerCommand: Codable, Sendable {
  enum Action: String, Codable, Sendable {
    /// Into the file that is there: open with O_TRUNC, write, close.
    case write
    /// O_CREAT | O_EXCL, write, close.
    case create
    /// A new file that then is renamed over the name.
    case save
    /// At the end of the file that is there: open with O_APPEND, write, read all, close.
    case append
    /// Some ranges of the file that is there: open, read all, write, read all, close.
    case patch
    case read, stat, remove, move, makeDirectory, removeDirectory, list
  }

  var action: Action
  /// A directory right below the mountpoint.
  var directory: String
  var name = ""
  var newName = ""
  /// The content's number.
  var number = 0
  var size = 0
  var isDurable = false
  /// Waits so long after the open.
  var pauseMilliseconds = 0
}

struct WorkerAnswer: Codable, Sendable {
  /// One system call on the mount.
  struct Call: Codable, Sendable {
    let name: String
    let begin: UInt64
    let end: UInt64
    /// 0 if it succeeded.
    let error: Int32

    var nanoseconds: UInt64 { end - begin }
  }

  var calls: [Call] = []
  /// Of a read that ended: the content's number, 0 for the empty one.
  var content: Int?
  /// Of a read of what was appended to: the numbers of all that is in it.
  var chain: [Int]?
  /// Of a patch: the number of the content that was there.
  var below: Int?
  /// Of an append or a patch: that of the whole file.
  var md5: String?
  /// Of a stat, an append or a patch.
  var size: Int?
  /// Of a patch: whether the file has layers after the close.
  var hasLayers = false
  /// Of a read: bytes that are no content.
  var wrong: String?
  /// Of a list.
  var names: [String]?

  func call(_ name: String) -> Call? { calls.last { $0.name == name } }
}
