/// A record that a process has locked, and what it did with it.
struct LockHold {
  /// One record of one file.
  struct Place: Hashable {
    let file: Int
    let record: Int

    var isOnTwoPages: Bool {
      let first = record * LockWorker.recordBytes
      return first / 4096 != (first + LockWorker.recordBytes - 1) / 4096
    }
  }

  struct Use {
    enum Kind: Equatable {
      /// Nil: it was neither nothing nor a number.
      case read(UInt64?)
      case write(UInt64)
      /// What was written is with the servers: after fsync or close.
      case stored
    }
    let kind: Kind
    let begin: UInt64
    /// Nil: it is not known whether it was done.
    let end: UInt64?
  }

  let place: Place
  /// The number of the process.
  let life: Int
  /// Which mount; mounted again it is another one.
  let mount: String
  let isExclusive: Bool
  /// The lock was asked for, and had.
  let asked: UInt64
  let granted: UInt64
  /// Until then it is held for sure, and perhaps.
  var held: UInt64 = .max
  var gone: UInt64 = .max
  var uses: [Use] = []
  /// Since when the mount was killed or stood still, while it was held.
  var doubt: UInt64?

  func excludes(_ other: LockHold) -> Bool {
    place == other.place && life != other.life && (isExclusive || other.isExclusive)
  }
}

/// A lock that somebody waited for, or asked about, and did not get: it may be why others were refused.
struct LockClaim {
  let life: Int
  let file: Int
  let records: Range<Int>
  let isExclusive: Bool
  let begin: UInt64
  let end: UInt64
}

/// What the processes of a history held, by what they were told.
///
/// - A lock is held for sure from when it was had to when unlock or close was called, the process was about to be
///   killed, or the mount was killed or stopped; perhaps from when it was asked for to when those had returned, and
///   `grace` longer where the kernel tells the mount later.
/// - Where a lock is set again, of another kind, the one before ends when that is called.
struct LockHolds {
  /// How long after the end of a process, or the close of an open file, its locks may be seen; and how long those of a
  /// mount after its fault.
  static let grace: UInt64 = 5_000_000_000
  static let mountGrace: UInt64 = 30_000_000_000

  private(set) var all: [LockHold] = []
  private(set) var claims: [LockClaim] = []
  private let faults: [LockHistory.Fault]

  init(_ history: LockHistory) {
    faults = history.faults.sorted { $0.begin < $1.begin }
    for (number, life) in history.lives.enumerated() { add(life, number) }
  }

  /// A mount that was killed and mounted again, by what ran when.
  func mount(_ name: String, at time: UInt64) -> String {
    name + "#\(faults.count { $0.kind == .killed && $0.mount == name && $0.end <= time })"
  }

  private mutating func add(_ life: LockHistory.Life, _ number: Int) {
    var held: [LockHold.Place: Int] = [:]
    var mounts: [Int: String] = [:]
    let first = mount(life.mount, at: life.begin)
    for step in life.steps {
      let places = step.records.map { LockHold.Place(file: step.file, record: $0) }
      switch step.call {
      case .open:
        if step.isDone { mounts[step.file] = mount(life.mount, at: step.end ?? step.begin) }
      case .close:
        if step.isDone { use(.stored, step, held.filter { $0.key.file == step.file }.values) }
        for (place, index) in held where place.file == step.file {
          end(index, step.begin, (step.end ?? life.dead ?? step.begin) + Self.grace)
          held[place] = nil
        }
      case .sync: use(.stored, step, held.filter { $0.key.file == step.file }.values)
      case .unlock:
        for place in places {
          if let index = held.removeValue(forKey: place) {
            end(index, step.begin, step.end ?? (life.dead ?? step.begin) + Self.grace)
          }
        }
      case .lock(let exclusive, _, let whole):
        lock(step, exclusive, whole, places, number, mounts[step.file] ?? first, life, &held)
      case .find(let exclusive):
        claim(step, exclusive, number, until: step.end ?? (life.dead ?? step.begin) + Self.grace)
      case .read:
        for (index, place) in places.enumerated() {
          guard let hold = held[place], step.isDone else { continue }
          all[hold].uses.append(
            LockHold.Use(
              kind: .read(UInt64(step.words[index])), begin: step.begin, end: step.end))
        }
      case .write(let values):
        for (place, value) in zip(places, values) {
          guard let hold = held[place] else { continue }
          all[hold].uses.append(
            LockHold.Use(
              kind: .write(value), begin: step.begin, end: step.isDone ? step.end : nil))
        }
      }
    }
    let last = life.killed ?? life.steps.last.map { $0.end ?? $0.begin } ?? life.begin
    for index in held.values { end(index, last, (life.dead ?? last) + Self.grace) }
  }

  private mutating func use(
    _ kind: LockHold.Use.Kind, _ step: LockHistory.Step, _ held: some Sequence<Int>
  ) {
    guard step.isDone else { return }
    for index in held {
      all[index].uses.append(LockHold.Use(kind: kind, begin: step.begin, end: step.end))
    }
  }

  private mutating func lock(
    _ step: LockHistory.Step, _ exclusive: Bool, _ whole: Bool, _ places: [LockHold.Place],
    _ life: Int, _ mount: String, _ process: LockHistory.Life, _ held: inout [LockHold.Place: Int]
  ) {
    guard step.isDone, let granted = step.end else {
      claim(step, exclusive, life, until: step.end ?? (process.dead ?? step.begin) + Self.grace)
      // flock(2) lets the lock before go, whether it gets the next or not; who died may have got it.
      for place in places where whole || step.end == nil {
        if let index = held.removeValue(forKey: place) {
          end(index, step.begin, (step.end ?? process.dead ?? step.begin) + Self.grace)
        }
      }
      return
    }
    for place in places {
      if let index = held[place] {
        if all[index].isExclusive == exclusive { continue }
        end(index, step.begin, granted)
      }
      held[place] = all.count
      all.append(
        LockHold(
          place: place, life: life, mount: mount, isExclusive: exclusive, asked: step.begin,
          granted: granted))
    }
  }

  private mutating func claim(
    _ step: LockHistory.Step, _ exclusive: Bool, _ life: Int, until end: UInt64
  ) {
    claims.append(
      LockClaim(
        life: life, file: step.file, records: step.records, isExclusive: exclusive,
        begin: step.begin, end: end))
  }

  private mutating func end(_ index: Int, _ held: UInt64, _ gone: UInt64) {
    all[index].held = min(all[index].held, held)
    all[index].gone = gone
    let hold = all[index]
    for fault in faults where hold.mount == mount(fault.mount, at: fault.begin) {
      guard hold.asked < fault.end, gone > fault.begin else { continue }
      all[index].doubt = fault.begin
      all[index].held = min(all[index].held, fault.begin)
      all[index].gone = max(gone, fault.end + Self.mountGrace)
      break
    }
  }
}
