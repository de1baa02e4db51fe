import DFSCore
import DFSTestSupport
import Foundation
import Synchronization

/// Mutated frames against a real server, before and after the login, while another user works.
final class ServerFuzz: Sendable {
  /// Eight whose requests have no state to meet, then those that a whole session begins with.
  static let users = (0..<300).map { "fuzz\($0)" }
  static let watcher = "watcher"
  private static let batch = 32
  private static let workers = 2
  /// A mutated request may be honest work of its user; it ends all the same.
  private static let patience = 20.0

  private let options: Options
  private let port: Int
  private let frames: [RawFrame]
  private let sessions: [[RawFrame]]
  private let sweep: Sweep
  private let findings: Findings
  private let next = Atomic<UInt64>(0)
  private let sent = Atomic<UInt64>(0)

  init(_ options: Options, port: Int, recording: Recording, findings: Findings) {
    self.options = options
    self.port = port
    frames = recording.requests
    sessions = recording.sessions
    self.findings = findings
    sweep = Sweep(frames)
  }

  var inputs: UInt64 { sent.load(ordering: .relaxed) }
  /// The batch that would be the next.
  var batch: UInt64 { options.from &+ next.load(ordering: .relaxed) }

  /// Sends `options.inputs` frames, or what a batch of an earlier run was.
  func run() {
    let group = DispatchGroup()
    for _ in 0..<Self.workers {
      group.enter()
      Thread.detachNewThread {
        while self.findings.isEmpty, self.inputs < self.options.inputs {
          let batch = self.next.wrappingAdd(1, ordering: .relaxed).oldValue
          self.perform(self.options.from &+ batch)
        }
        group.leave()
      }
    }
    group.wait()
  }

  /// Sends the sessions as they are: if most of them were refused, their mutations would reach nothing.
  func check() throws {
    var (asked, failed) = (0, 0)
    for (index, session) in sessions.enumerated() {
      let line = try Line(port: port)
      let user = Self.users[Self.users.count - 1 - index]
      try Login(server: "DFS1", user: user).perform(on: line, within: Self.patience)
      var frames = session
      for index in frames.indices { frames[index].id = UInt64(16 + index) }
      asked += frames.count
      var left = Dictionary(uniqueKeysWithValues: frames.map { ($0.id, $0.kind) })
      do {
        let isAnswered = try line.exchange(frames.flatMap(\.encoded), within: Self.patience) {
          if $0.kind == 50 { failed += 1 }
          if $0.isReply { left[$0.id] = nil }
          return left.isEmpty
        }
        guard isAnswered else { throw FuzzFailure("the connection was closed") }
      } catch {
        throw FuzzFailure(
          "an unchanged session \(index): \(error); not answered (id: kind): \(left)")
      }
    }
    say("unchanged sessions: \(failed) of \(asked) requests failed")
  }

  private func perform(_ number: UInt64) {
    var mutator = Mutator(seed: options.seed, number)
    do {
      if mutator.random.chance(8) { return try strangers(&mutator) }
      let line = try Line(port: port)
      let isSession = mutator.random.chance(40)
      let user = Self.users[isSession ? 8 + Int(number % 292) : mutator.random.below(8)]
      try Login(server: "DFS1", user: user)
        .perform(on: line, within: Self.patience)
      if mutator.random.chance(4) {
        // What is never whole: the server must not wait for it with more than a connection.
        sent.wrappingAdd(1, ordering: .relaxed)
        _ = try? line.exchange(mutator.broken(mutator.random.pick(frames)), within: 0.02)
        return
      }
      var frames: [RawFrame] = isSession ? mutator.session(mutator.random.pick(sessions)) : []
      while !isSession, frames.count < Self.batch { frames.append(loose(&mutator)) }
      for index in frames.indices where mutator.random.chance(99) {
        frames[index].id = UInt64(16 + index)
      }
      sent.wrappingAdd(UInt64(frames.count), ordering: .relaxed)
      // Each is answered once, unless one of them ends the connection.
      var left = frames.count
      _ = try line.exchange(frames.flatMap(\.encoded), within: Self.patience) { answer in
        if answer.isReply { left -= 1 }
        return left == 0
      }
    } catch {
      // A server that ended is told of by who watches it.
      if findings.isCrashed { return }
      usleep(200_000)
      if !findings.isCrashed { findings.add("batch \(number): \(error)") }
    }
  }

  /// A request that follows nothing.
  private func loose(_ mutator: inout Mutator) -> RawFrame {
    mutator.random.chance(40)
      ? sweep[mutator.random.below(sweep.count)]
      : mutator.mutated(mutator.random.pick(frames), frames)
  }

  /// Before the login: a step of it mutated, or what only users may ask.
  private func strangers(_ mutator: inout Mutator) throws {
    let login = Login(server: "DFS1", user: mutator.random.pick(Self.users))
    let steps = [
      login.hello, Login.scram(11, "n,,n=\(login.user),r=abcdef", id: 2),
      Login.scram(12, "c=biws,r=abcdef,p=AAAA", id: 3),
    ]
    for _ in 0..<4 {
      let line = try Line(port: port)
      let whole = mutator.random.below(3)
      var bytes = steps.prefix(whole).flatMap(\.encoded)
      let frame = mutator.random.chance(80) ? steps[whole] : mutator.random.pick(frames)
      bytes +=
        mutator.random.chance(20) ? mutator.broken(frame) : mutator.mutated(frame, frames).encoded
      sent.wrappingAdd(1, ordering: .relaxed)
      _ = try? line.exchange(bytes, within: 0.02)
    }
  }
}

/// Another user of the same server, whose requests are answered soon whatever others send.
final class Watcher: Sendable {
  private let port: Int
  private let limit: Double
  private let findings: Findings
  private let isStopped = Atomic(false)
  private let worst = Mutex(0.0)
  private let done = DispatchSemaphore(value: 0)

  init(port: Int, seconds limit: Double, findings: Findings) {
    self.port = port
    self.limit = limit
    self.findings = findings
    Thread.detachNewThread { self.watch() }
  }

  var longest: Double { worst.withLock { $0 } }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    done.wait()
  }

  private func watch() {
    defer { done.signal() }
    var line: Line?
    var rounds = 0
    while !isStopped.load(ordering: .relaxed), findings.isEmpty {
      let start = Date()
      do {
        // A login now and then, of which the right password never waits.
        if line == nil || rounds % 50 == 0 {
          let new = try Line(port: port)
          try Login(server: "DFS1", user: ServerFuzz.watcher).perform(on: new, within: 10)
          line = new
        }
        rounds += 1
        let isThere = try line?.exchange(Login.ping.encoded, within: 10) { $0.id == Login.pingID }
        guard isThere == true else { throw FuzzFailure("the connection was closed") }
      } catch {
        usleep(200_000)
        if !findings.isCrashed { findings.add("another user: \(error)") }
        return
      }
      let took = Date().timeIntervalSince(start)
      worst.withLock { $0 = max($0, took) }
      if took > limit { findings.add("another user waited \(took) s for an answer") }
      usleep(20_000)
    }
  }
}
