import Testing

/// The judge of histories finds what is planted, and nothing else.
@Suite struct LockJudgeTests {
  /// One process, by its log: each call as `BEGIN-END WORDS > RESULT`; without `> RESULT` it died in it.
  private func log(_ mount: String, _ calls: [String], end: [String] = []) -> String {
    let lines = calls.flatMap { call -> [String] in
      let halves = call.split(separator: " > ")
      let words = halves[0].split(separator: " ", maxSplits: 1)
      let times = words[0].split(separator: "-")
      let begin = "c \(times[0]) \(words[1])"
      return halves.count == 1 ? [begin] : [begin, "r \(times[1]) \(halves[1])"]
    }
    return (["s 0 \(mount)"] + lines + end).joined(separator: "\n")
  }

  private func found(
    _ logs: [String], faults: [LockHistory.Fault] = []
  ) throws -> [LockJudge.Violation.Kind] {
    var history = LockHistory(faults: faults)
    for log in logs { try history.add(log) }
    return LockJudge(history).violations.map(\.kind)
  }

  private static let lock = "lock 0 0 1 posix write waits"

  /// Writes `value` under a lock of record 0 in ten units of time.
  private func section(_ begin: Int, writes value: Int, unlocked: Bool = true) -> [String] {
    [
      "\(begin)-\(begin + 1) \(Self.lock) > ok",
      "\(begin + 2)-\(begin + 3) write 0 0 1 \(value) > ok",
    ] + (unlocked ? ["\(begin + 8)-\(begin + 9) unlock 0 0 1 > ok"] : [])
  }

  private func section(_ begin: Int, reads value: String) -> [String] {
    [
      "\(begin)-\(begin + 1) lock 0 0 1 posix read waits > ok",
      "\(begin + 2)-\(begin + 3) read 0 0 1 > ok \(value)",
      "\(begin + 8)-\(begin + 9) unlock 0 0 1 > ok",
    ]
  }

  @Test func whatIsRightIsAccepted() throws {
    let one = log("m1", section(10, reads: "0") + section(20, writes: 1) + section(40, reads: "2"))
    let two = log("m2", section(30, writes: 2) + section(41, reads: "2"))
    #expect(try found([one, two]) == [])
  }

  @Test func twoHoldersAreFound() throws {
    let one = log("m1", section(10, writes: 1))
    #expect(try found([one, log("m2", section(15, writes: 2))]) == [.twoHolders])
    #expect(try found([one, log("m1", section(15, reads: "1"))]) == [.twoHolders])
    // One waited while the other had it.
    let waits = ["12-19 \(Self.lock) > ok", "28-29 unlock 0 0 1 > ok"]
    #expect(try found([one, log("m2", waits)]) == [])
    // Who is killed has it until then.
    let killed = log("m2", section(10, writes: 2, unlocked: false), end: ["k 17", "d 18"])
    #expect(try found([killed, log("m1", section(15, writes: 1))]) == [.twoHolders])
    #expect(try found([killed, log("m1", section(20, writes: 1))]) == [])
  }

  @Test func aLostUpdateIsFound() throws {
    let one = log("m1", section(10, writes: 1) + section(30, reads: "1"))
    #expect(try found([one, log("m2", section(20, writes: 2))]) == [.wrongNumber])
  }

  @Test func aStaleReadIsFound() throws {
    let writes = log("m1", section(10, writes: 1))
    #expect(try found([writes, log("m2", section(20, reads: "0"))]) == [.wrongNumber])
    #expect(try found([writes, log("m2", section(20, reads: "7"))]) == [.wrongNumber])
    #expect(try found([writes, log("m2", section(20, reads: "torn"))]) == [.tornNumber])
  }

  @Test func whoDiesInAWriteHasWrittenOrNot() throws {
    let dies = log(
      "m1", section(10, writes: 1, unlocked: false) + ["14-0 write 0 0 1 2"], end: ["k 15", "d 16"])
    for value in ["1", "2"] {
      #expect(try found([dies, log("m2", section(20, reads: value))]) == [])
    }
    // What was written before is there, and what was read once stays.
    #expect(try found([dies, log("m2", section(20, reads: "0"))]) == [.wrongNumber])
    let turns = log("m2", section(20, reads: "2") + section(30, reads: "1"))
    #expect(try found([dies, turns]) == [.wrongNumber])
  }

  @Test func halfAWriteOfWhoDiesInItIsThereOnTwoPages() throws {
    for (record, isRight) in [(6, true), (5, false)] {
      let dies = log(
        "m1", ["10-11 lock 0 \(record) 1 posix write waits > ok", "14-0 write 0 \(record) 1 2"],
        end: ["k 15", "d 16"])
      let reads = [
        "20-21 lock 0 \(record) 1 posix read waits > ok", "22-23 read 0 \(record) 1 > ok torn",
      ]
      #expect(try found([dies, log("m2", reads)]) == (isRight ? [] : [.tornNumber]))
    }
  }

  @Test func aMountThatDiesTakesWhatWasNotStored() throws {
    let fault = LockHistory.Fault(kind: .killed, mount: "m1", begin: 50, end: 60)
    let stored = ["24-25 sync 0 0 1 > ok"]
    let second = section(20, writes: 2)
    let plain = log("m1", section(10, writes: 1) + second)
    let synced = log("m1", section(10, writes: 1) + second[..<2] + stored + second[2...])
    for (value, isRight) in [("0", true), ("1", true), ("2", true), ("3", false)] {
      let other = log("m2", section(70, reads: value))
      #expect(try found([plain, other], faults: [fault]) == (isRight ? [] : [.wrongNumber]))
    }
    #expect(
      try found([synced, log("m2", section(70, reads: "1"))], faults: [fault]) == [.wrongNumber])
    #expect(try found([synced, log("m2", section(70, reads: "2"))], faults: [fault]) == [])
    // Another mount had seen it.
    let seen = log("m2", section(30, reads: "2") + section(70, reads: "0"))
    #expect(try found([plain, seen], faults: [fault]) == [.wrongNumber])
    // Without a fault all is there.
    #expect(try found([plain, log("m2", section(70, reads: "0"))]) == [.wrongNumber])
  }

  @Test func lateWritesOfAFrozenMountAreFound() throws {
    let fault = LockHistory.Fault(kind: .frozen, mount: "m1", begin: 15, end: 40)
    let other = log("m2", section(25, writes: 2))
    let begin = section(10, writes: 1, unlocked: false)
    let told = log("m1", begin + ["41-42 write 0 0 1 3 > EIO", "43-44 close 0 0 1 > EIO"])
    #expect(try found([told, other], faults: [fault]) == [])
    #expect(try found([told, other]).contains(.failed))
    let late = log("m1", begin + ["41-42 write 0 0 1 3 > ok", "43-44 close 0 0 1 > EIO"])
    #expect(try found([late, other], faults: [fault]) == [.lateWrite])
    let closed = log("m1", begin + ["43-44 close 0 0 1 > ok"])
    #expect(try found([closed, other], faults: [fault]) == [.lateWrite])
    let idle = log("m1", ["10-11 \(Self.lock) > ok", "43-44 close 0 0 1 > ok"])
    #expect(try found([idle, other], faults: [fault]) == [])
    let again = log("m2", section(25, writes: 2) + section(50, reads: "3"))
    #expect(try found([told, again], faults: [fault]) == [.wrongNumber])
  }

  @Test func answersAreJudged() throws {
    let holder = log("m1", section(10, writes: 1))
    let tries = "lock 0 0 1 posix write tries > EAGAIN"
    #expect(try found([holder, log("m2", ["12-13 \(tries)"])]) == [])
    #expect(try found([holder, log("m2", ["22-23 \(tries)"])]) == [.refused])
    let finds = "find 0 0 2 posix read >"
    #expect(try found([holder, log("m2", ["12-13 \(finds) ok write 0 1"])]) == [])
    #expect(try found([holder, log("m2", ["12-13 \(finds) ok none"])]) == [.found])
    #expect(try found([holder, log("m2", ["22-23 \(finds) ok write 0 1"])]) == [.found])
    #expect(try found([holder, log("m2", ["22-23 \(finds) ok none"])]) == [])
    #expect(try found([log("m1", ["10-99 \(Self.lock) > STUCK"])]) == [.stuck])
    #expect(try found([log("m1", ["10-11 \(Self.lock) > ENOLCK"])]) == [.failed])
  }
}
