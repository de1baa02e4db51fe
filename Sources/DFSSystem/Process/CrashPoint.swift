internal import DFSCore
internal import Glibc
internal import Synchronization

/// The steps between two effects that others can see or that last, at which a process of a debug build
/// can be told to die, so that a test visits each of them (docs/RELIABILITY.md, "Crash points").
///
/// `DFS_CRASH_AT=NAME` or `NAME:N` names a step and the time (from 1); `@FILE` says that it is in
/// that file, which is read each time, so that a running process can be told. `DFS_CRASH_LOG=FILE` is
/// appended a line `NAME PID` before the end. Release builds heed neither.
public enum CrashPoint: String, CaseIterable, Sendable {
  // MARK: Publishing, in the client

  /// All holders of a part have a piece of it.
  case someCopiesUploaded
  /// All copies are on their servers, and no row names them. (Small ones travel with the change.)
  case copiesUploaded
  /// The copies of a lost server are on the one that substitutes for it, and no row says so.
  case substituteStored
  /// A row says who substitutes; the caller is not told.
  case substituteNoted
  /// A change is computed, and no server was sent it.
  case changeComputed
  /// A server has said that it took the change.
  case changeTaken
  /// Three have, and the caller is not told.
  case changeAgreed

  // MARK: The view change and catching servers up, in the client

  /// A server has promised this client's view.
  case viewPromised
  /// A server has installed it.
  case viewInstalled
  /// Three have; changes may be appended.
  case viewTaken
  /// The changes that a server lacks are here, and it was not sent them.
  case logRead
  /// A page of rows was sent to a server that is being refilled.
  case transferPageSent

  // MARK: Healing, in the client

  /// A piece of a good copy is here, and was not sent on.
  case pieceFetched
  /// The copy is on the server that lacked it.
  case copyBrought
  /// All copies are where the rule puts them, and the row says otherwise.
  case copiesHome
  /// The row says so; copies that substituted may go.
  case homeNoted

  // MARK: Storing a copy, in the server

  /// All bytes are in the temporary file.
  case copyWritten
  /// They are on stable storage.
  case copySynced
  /// The file has its name, which is not on stable storage. The client wants it to be.
  case copyRenamed
  /// The same where stable storage may follow later.
  case copyPlaced
  /// The tables know that the copy is here; the client is not answered.
  case copyNoted
  /// A damaged copy was moved out of the way of a good one.
  case damagedQuarantined

  // MARK: Merging and settling, in the client

  /// The MD5 of a version with layers is known; nothing is stored of it.
  case settleHashed
  /// What takes the place of layers is stored; no row names it.
  case settleStored
  /// A row names it instead of the layers.
  case settleNoted

  // MARK: Steps of the namespace, in the server

  /// A change has come, and nothing was written.
  case changeReceived
  /// Its rows are written, and not committed.
  case changeWritten
  /// What must be on stable storage before a promise, a view or a change is, is there.
  case commitPrepared
  /// It is committed; the client is not answered.
  case changeCommitted
  /// A promise is on stable storage; the client is not answered.
  case promiseCommitted
  /// So is a view.
  case installCommitted

  // MARK: Stable storage within a second, in the server

  /// The copies are on stable storage, the commits that name them are not.
  case namedSynced
  /// The commits are too, and are in the write-ahead log only.
  case logSynced
  /// The log is moved into the database.
  case logMoved

  // MARK: State transfer, in the server

  /// Some rows are staged.
  case rowsStaged
  /// All rows are replaced, and that is not committed.
  case rowsReplaced
  /// It is; the client is not answered.
  case refillCommitted

  // MARK: Collection, in the server

  /// Files of copies that no row asks for are gone, their rows are not.
  case unreferencedRemoved
  /// The rows are too.
  case unreferencedForgotten
  /// The file of a copy that no row ever asked for is gone.
  case orphanRemoved

  // MARK: Users and directories, in the server

  /// The new users file is on stable storage beside the old one.
  case usersWritten
  /// It has taken its place, which is not on stable storage.
  case usersReplaced
  /// A user's directory is made; nothing in it is looked at yet.
  case userDirectoryMade
  /// The user's database has its tables, and no mark.
  case databaseMade
  /// A mark that says whether the database is open is written beside the one before.
  case markWritten
  /// It has taken its place, which is not on stable storage.
  case markReplaced
  /// At the end the log is moved into the database, and the mark says that it is open.
  case databaseClosing
  /// The identity of a server's directory is written under another name.
  case identityWritten
  /// It has its name, which is not on stable storage.
  case identityReplaced
  /// `dfs repair` has moved some of a damaged database's files away.
  case databaseMoved

  /// The process ends here, as by `kill -9`, if it was told to.
  @inlinable
  public static func reached(_ point: CrashPoint) {
    #if DEBUG
      CrashOrder.reached(point)
    #endif
  }
}

#if DEBUG
  /// What the environment says.
  @usableFromInline
  enum CrashOrder {
    private static let order = variable("DFS_CRASH_AT")
    private static let passed = Mutex((order: "", times: 0))

    @usableFromInline
    static func reached(_ point: CrashPoint) {
      guard let order, let text = order.hasPrefix("@") ? firstLine(of: order) : order else {
        return
      }
      let words = text.split(separator: ":")
      guard words.first.map(String.init) == point.rawValue else { return }
      let time = words.count > 1 ? Int(words[1]) ?? 1 : 1
      let isTime = passed.withLock { passed in
        if passed.order != text { passed = (text, 0) }
        passed.times += 1
        return passed.times == time
      }
      if isTime { end(point) }
    }

    /// Nothing is flushed, no handler runs, no destructor.
    private static func end(_ point: CrashPoint) -> Never {
      if let path = variable("DFS_CRASH_LOG") {
        let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        let line = Array("\(point.rawValue) \(getpid())\n".utf8)
        _ = write(log, line, line.count)
      }
      kill(getpid(), SIGKILL)
      while true { pause() }
    }

    private static func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }
    }

    private static func firstLine(of order: String) -> String? {
      let file = open(String(order.dropFirst()), O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { return nil }
      defer { close(file) }
      var bytes = [UInt8](repeating: 0, count: 64)
      let count = read(file, &bytes, bytes.count)
      guard count > 0 else { return nil }
      let line = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").first
      return line.map(String.init)
    }
  }
#endif
