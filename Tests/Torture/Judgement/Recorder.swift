import DFSTestSupport
import Synchronization

/// All that was done and found, by all clients.
final class Recorder: Sendable {
  struct Counts: Sendable {
    var acknowledged = 0
    var refused = 0
    var unknown = 0
    /// Patches after which the file had layers.
    var layers = 0
    var faults: [String: Int] = [:]
    /// The longest system call on a mount, and what it was.
    var longestNanoseconds: UInt64 = 0
    var longest = ""
    var callsTooLong = 0
    /// The first calls that took too long.
    var longCalls: [String] = []
  }

  private struct State {
    var groups: [Group] = []
    var live: [GroupKind: [Int]] = [:]
    /// Files that are being used through a mount: another use there would share the open file.
    var busy: Set<Use> = []
    var operations = 0
    var contents: [String: Int] = [:]
    /// For each group which content has so many bytes.
    var sizes: [Int: [Int: Int]] = [:]
    var stored: [Int: [StoredContent]] = [:]
    var chains: [Chain] = []
    var counts = Counts()
    var problems: [Problem] = []
    var faultLog: [String] = []
  }

  private struct Use: Hashable {
    let client: Int
    let group: Int
  }

  /// Stands for several contents of one size.
  static let ambiguous = -2

  let mix: Mix
  let origin = Clock.now
  private let callLimitNanoseconds: UInt64
  private let state = Mutex(State())

  /// - Parameter callLimitSeconds: no system call on a mount may take longer.
  init(callLimitSeconds: Int, _ mix: Mix) {
    self.mix = mix
    callLimitNanoseconds = UInt64(callLimitSeconds) * 1_000_000_000
    state.withLock { state in
      for kind in mix.kinds {
        for _ in 0..<mix.liveCount(kind) { Self.addGroup(kind, to: &state) }
      }
    }
  }

  private static func addGroup(_ kind: GroupKind, to state: inout State) {
    state.groups.append(Group(number: state.groups.count, kind: kind))
    state.live[kind, default: []].append(state.groups.count - 1)
  }

  // MARK: Operations

  /// The next operation of a client; nil if every file of the chosen kind is in use.
  func begin(_ plan: inout Plan, client: Int, isMount: Bool) -> Operation? {
    state.withLock { state in
      let kind = plan.kind()
      let start = plan.place(mix.liveCount(kind))
      let live = state.live[kind] ?? []
      let free = (0..<live.count).lazy.map { live[(start + $0) % live.count] }
        .first { mayUse(state.groups[$0], client, isMount: isMount, state) }
      guard let group = free else { return nil }
      state.operations += 1
      var operation = plan.operation(state.operations, on: group, kind, isMount: isMount)
      if mix == .sharing, kind.isInPlace, !state.groups[group].isMade {
        operation.action = isMount ? .save : .put
      }
      // Names that are replaced are different files; directories are not opened.
      if operation.action == .patch { state.groups[group].isPatched = true }
      if isMount, kind.isInPlace || kind == .exclusive {
        state.busy.insert(Use(client: client, group: group))
      }
      state.groups[group].underWay += 1
      return operation
    }
  }

  /// Undisturbed, whoever is the first makes the file that stays, alone.
  private func mayUse(_ group: Group, _ client: Int, isMount: Bool, _ state: State) -> Bool {
    if isMount, state.busy.contains(Use(client: client, group: group.number)) { return false }
    return mix == .faults || !group.kind.isInPlace || group.isMade || group.underWay == 0
  }

  func end(_ operation: Operation, client: Int, _ record: Record) {
    state.withLock { state in
      state.busy.remove(Use(client: client, group: operation.group))
      state.groups[operation.group].underWay -= 1
      for (group, events) in record.events
      where !(state.groups[group].isRetired && group != operation.group) {
        state.groups[group].add(events)
        if state.groups[group].isRetired { Self.retire(group, &state) }
      }
      for problem in record.problems {
        let group = state.groups[operation.group]
        state.problems.append(Problem(problem.kind, problem.text + history(of: group)))
      }
      if let stored = record.stored {
        state.groups[operation.group].isMade = true
        state.stored[operation.group, default: []].append(stored)
      }
      if let chain = record.chain {
        state.chains.append(
          Chain(content: operation.number, isOwn: operation.action == .append, chain))
      }
      switch record.outcome {
      case .acknowledged: state.counts.acknowledged += 1
      case .refused: state.counts.refused += 1
      case .unknown: state.counts.unknown += 1
      }
      if record.hasLayers { state.counts.layers += 1 }
      note(record.calls, &state.counts)
    }
  }

  /// The same, for people.
  func history(of number: Int) -> String { history(of: group(number)) }

  /// What was done last to the names of a problem.
  private func history(of group: Group) -> String {
    "; at \(seconds(Clock.now)); the last of \(group.title):\n"
      + group.events.suffix(40).map { "  " + $0.line(since: origin, names: group.names) }
      .joined(separator: "\n")
  }

  private static func retire(_ group: Int, _ state: inout State) {
    let kind = state.groups[group].kind
    guard state.live[kind]?.contains(group) == true else { return }
    state.live[kind]?.removeAll { $0 == group }
    addGroup(kind, to: &state)
  }

  private func note(_ calls: [WorkerAnswer.Call], _ counts: inout Counts) {
    for call in calls {
      if call.nanoseconds > counts.longestNanoseconds {
        counts.longestNanoseconds = call.nanoseconds
        counts.longest = call.name
      }
      guard call.nanoseconds > callLimitNanoseconds else { continue }
      counts.callsTooLong += 1
      guard counts.longCalls.count < 10 else { continue }
      counts.longCalls.append(
        "\(call.name) from \(seconds(call.begin)) to \(seconds(call.end)), errno \(call.error)")
    }
  }

  func group(_ number: Int) -> Group { state.withLock { $0.groups[number] } }

  /// The live groups of a kind; what a list of their directory shows concerns them all.
  func liveGroups(_ kind: GroupKind) -> [Group] {
    state.withLock { state in
      (state.live[kind] ?? []).map { index in
        var group = state.groups[index]
        group.events = []
        return group
      }
    }
  }

  // MARK: Contents

  func made(_ operation: Operation, md5: String, size: Int) {
    state.withLock { state in
      state.contents[md5] = operation.number
      let other = state.sizes[operation.group, default: [:]][size]
      state.sizes[operation.group, default: [:]][size] =
        other == nil || other == operation.number ? operation.number : Self.ambiguous
    }
  }
  func sizes(of group: Int) -> [Int: Int] { state.withLock { $0.sizes[group] ?? [:] } }
  func stored(in group: Int) -> [StoredContent] { state.withLock { $0.stored[group] ?? [] } }
  var chains: [Chain] { state.withLock { $0.chains } }
  func content(md5: String) -> Int? { state.withLock { $0.contents[md5] } }

  // MARK: The rest

  /// Counts a fault and notes it.
  func fault(_ kind: String, _ text: String) {
    state.withLock { $0.counts.faults[kind, default: 0] += 1 }
    note(text)
  }

  func note(_ text: String) {
    state.withLock { $0.faultLog.append("\(seconds(Clock.now))  \(text)") }
  }

  /// Since the beginning.
  private func seconds(_ time: UInt64) -> Double {
    (Double(max(time, origin) - origin) / 1e9).rounded(toPlaces: 3)
  }

  func problem(_ kind: Problem.Kind, _ text: String) { problem(Problem(kind, text)) }
  func problem(_ problem: Problem) { state.withLock { $0.problems.append(problem) } }

  var counts: Counts { state.withLock { $0.counts } }
  var problems: [Problem] { state.withLock { $0.problems } }
  var faultLog: [String] { state.withLock { $0.faultLog } }

  var groups: [Group] { state.withLock { $0.groups } }
}

extension Double {
  func rounded(toPlaces places: Int) -> Double {
    let factor = (0..<places).reduce(1.0) { result, _ in result * 10 }
    return (self * factor).rounded() / factor
  }
}

/// What became of one operation.
struct Record: Sendable {
  enum Outcome: Sendable {
    /// It was answered: done, or decided against (the name is taken, there is none).
    case acknowledged
    /// It failed and has changed nothing.
    case refused
    case unknown
  }

  var outcome = Outcome.refused
  var events: [Int: [NameEvent]] = [:]
  var problems: [Problem] = []
  var calls: [WorkerAnswer.Call] = []
  /// The content that was published, if that was acknowledged.
  var stored: StoredContent?
  /// What a file consists of that was read.
  var chain: [Int]?
  var hasLayers = false
}

/// The numbers of all contents that a file consisted of for one operation.
struct Chain: Sendable {
  let numbers: [Int]
  /// Whether the operation appended the last of them.
  let isOwn: Bool

  init(content: Int, isOwn: Bool, _ numbers: [Int]) {
    self.numbers = numbers
    self.isOwn = isOwn && numbers.last == content
  }
}
