import DFSTestSupport

/// One operation of a client, as the plan chose it.
struct Operation: Sendable {
  enum Action: Hashable, Sendable {
    /// On a mount: in place, exclusively, and by way of a temporary name.
    case write, create, save
    case append, patch, stat
    case put, read, remove, move, makeDirectory, removeDirectory, list
  }

  /// Also the number of the content that it would store, or the file that it would make.
  let number: Int
  let group: Int
  let kind: GroupKind
  var action: Action
  /// Names of the group.
  let name: Int
  let newName: Int
  let size: Int
  let isDurable: Bool
  /// A dfc is killed so long after its start.
  let killAfterMilliseconds: Int?
  /// Between the open and what follows it.
  var pauseMilliseconds = 0
}

/// What clients do.
enum Mix: Sendable {
  /// While faults go on.
  case faults
  /// Undisturbed: more operations on fewer names, which overlap more often.
  case sharing

  var kinds: [GroupKind] {
    switch self {
    case .faults: [.register, .exclusive, .renamed, .folder]
    case .sharing: GroupKind.allCases
    }
  }

  /// Groups of a kind that are used at the same time.
  func liveCount(_ kind: GroupKind) -> Int {
    switch self {
    case .faults: kind == .folder ? 3 : 5
    case .sharing: kind == .folder ? 1 : 2
    }
  }
}

/// Chooses operations; the same seed makes the same choices, while the groups that there are depend
/// on how fast the run goes.
struct Plan {
  private var random: SplitMix64
  private let mix: Mix

  init(seed: UInt64, _ mix: Mix) { (random, self.mix) = (SplitMix64(seed: seed), mix) }

  mutating func kind() -> GroupKind {
    let kinds: [GroupKind] = [
      .register, .register, .register, .exclusive, .exclusive, .renamed, .renamed, .folder,
    ]
    return random.pick(mix == .faults ? kinds : kinds + [.appended, .appended, .appended])
  }

  /// One of `count`.
  mutating func place(_ count: Int) -> Int { random.below(count) }

  mutating func operation(_ number: Int, on group: Int, _ kind: GroupKind, isMount: Bool)
    -> Operation
  {
    let action = isMount ? mountAction(kind) : dfcAction(kind)
    let name = random.below(kind.nameCount)
    let newName = (name + 1 + random.below(max(1, kind.nameCount - 1))) % kind.nameCount
    let mayBeKilled = !isMount && [.put, .move, .remove].contains(action)
    var operation = Operation(
      number: number, group: group, kind: kind, action: action, name: name, newName: newName,
      size: size(), isDurable: random.chance(20),
      killAfterMilliseconds: mayBeKilled && mix == .faults && random.chance(12)
        ? random.below(400) : nil)
    guard mix == .sharing, isMount, kind != .folder else { return operation }
    if random.chance(15) { operation.action = .stat }
    if random.chance(20) { operation.pauseMilliseconds = 1 + random.below(20) }
    return operation
  }

  private mutating func mountAction(_ kind: GroupKind) -> Operation.Action {
    let draw = random.below(100)
    return switch kind {
    case .register: draw < 22 ? .write : draw < 48 ? .patch : draw < 92 ? .read : .list
    case .exclusive: draw < 35 ? .create : draw < 55 ? .remove : draw < 88 ? .read : .list
    case .renamed:
      draw < 30 ? .save : draw < 58 ? .move : draw < 68 ? .remove : draw < 92 ? .read : .list
    case .folder: draw < 45 ? .makeDirectory : draw < 85 ? .removeDirectory : .list
    // What two mounts append goes behind each other, which the judge of last closes does not model:
    // `EndToEnd.Layers` tests it.
    case .appended: draw < 55 ? .write : draw < 92 ? .read : .list
    }
  }

  private mutating func dfcAction(_ kind: GroupKind) -> Operation.Action {
    let draw = random.below(100)
    return switch kind {
    case .register, .appended: draw < 50 ? .put : draw < 85 ? .read : .list
    case .exclusive: draw < 30 ? .put : draw < 60 ? .remove : draw < 85 ? .read : .list
    case .renamed:
      draw < 35 ? .put : draw < 60 ? .move : draw < 70 ? .remove : draw < 90 ? .read : .list
    case .folder: draw < 70 ? .makeDirectory : .list
    }
  }

  /// Small ones travel in the change, large ones as parts; some are about the limit between.
  private mutating func size() -> Int {
    if mix == .sharing, random.chance(70) { return Content.leastBytes + random.below(9000) }
    return switch random.below(10) {
    case 0..<4: Content.leastBytes + random.below(4000)
    case 4..<7: Content.leastBytes + random.below(130_000)
    case 7: 131_072 + random.below(9) - 4
    case 8: 131_072 + random.below(300_000)
    default: 500_000 + random.below(1_500_000)
    }
  }
}
