import Foundation

/// What processes did under locks, as they told it themselves (LockWorker), and what was done to the mounts meanwhile.
struct LockHistory {
  /// One call of a process. Times are nanoseconds of one clock.
  struct Step: Equatable {
    enum Call: Equatable {
      case open, close, sync, unlock
      case lock(exclusive: Bool, atOnce: Bool, whole: Bool)
      /// F_GETLK.
      case find(exclusive: Bool)
      case read
      case write([UInt64])
    }

    var call: Call
    var file: Int
    var records: Range<Int>
    var begin: UInt64
    /// Nil: it died in it.
    var end: UInt64?
    /// `ok`, or the name of an error.
    var result: String?
    /// What came of it: numbers that were read, the lock that was found.
    var words: [Substring] = []

    var isDone: Bool { result == "ok" }
    var isCounted: Bool {
      switch call {
      case .lock, .unlock, .read, .write: true
      case .open, .close, .sync, .find: false
      }
    }
  }

  /// One process, from its begin to its end.
  struct Life: Equatable {
    var mount: String
    var begin: UInt64
    var steps: [Step] = []
    /// Just before it was killed.
    var killed: UInt64?
    /// It is known to be dead.
    var dead: UInt64?
  }

  /// The process of a mount is killed, or stands still.
  struct Fault: Equatable {
    enum Kind { case killed, frozen }
    var kind: Kind
    var mount: String
    var begin: UInt64
    /// It goes on; or is about to be mounted again.
    var end: UInt64
  }

  var lives: [Life] = []
  var faults: [Fault] = []

  /// Locks, reads, writes and unlocks.
  var operations: Int { lives.reduce(0) { $0 + $1.steps.count { $0.isCounted } } }

  // MARK: Logs

  struct Unreadable: Error, CustomStringConvertible {
    let description: String
  }

  init(_ lives: [Life] = [], faults: [Fault] = []) { (self.lives, self.faults) = (lives, faults) }

  /// The logs in a directory.
  init(directory: String, faults: [Fault]) throws {
    self.faults = faults
    for name in try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    where name.hasSuffix(".log") {
      try add(String(contentsOfFile: directory + "/" + name, encoding: .utf8))
    }
  }

  /// Adds the log of one worker, all its processes.
  mutating func add(_ log: String) throws {
    for line in log.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 2, let time = UInt64(words[1]) else {
        throw Unreadable(description: "a log has the line \(line)")
      }
      if words[0] == "s" {
        lives.append(Life(mount: String(words[2]), begin: time))
        continue
      }
      guard let life = lives.indices.last else { throw Unreadable(description: "nobody began") }
      switch words[0] {
      case "k": lives[life].killed = time
      case "d": lives[life].dead = time
      case "c": lives[life].steps.append(try Self.step(words, time))
      case "r":
        let last = lives[life].steps.count - 1
        lives[life].steps[last].end = time
        lives[life].steps[last].result = String(words[2])
        lives[life].steps[last].words = Array(words.dropFirst(3))
      default: throw Unreadable(description: "a log has the line \(line)")
      }
    }
  }

  private static func step(_ words: [Substring], _ time: UInt64) throws -> Step {
    guard words.count >= 6, let file = Int(words[3]), let first = Int(words[4]),
      let count = Int(words[5])
    else { throw Unreadable(description: "a call is \(words)") }
    let rest = words.dropFirst(6)
    let call: Step.Call
    switch words[2] {
    case "open": call = .open
    case "close": call = .close
    case "sync": call = .sync
    case "unlock": call = .unlock
    case "read": call = .read
    case "write": call = .write(rest.compactMap { UInt64($0) })
    case "find": call = .find(exclusive: rest.last == "write")
    case "lock":
      call = .lock(
        exclusive: rest.contains("write"), atOnce: rest.last == "tries",
        whole: rest.first == "flock")
    default: throw Unreadable(description: "a call is \(words)")
    }
    return Step(call: call, file: file, records: first..<first + count, begin: time)
  }
}
