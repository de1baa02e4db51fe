internal import DFSTestSupport

/// What programs do, by chance.
extension ClientOperation.Kind {
  static func random(_ random: inout SplitMix64, _ settings: WorldSettings) -> Self {
    let counters = ClientOperation.counters
    if settings.isHot { return random.chance(40) ? .count([counters[0]]) : .counters }
    if settings.hasLocks, random.chance(75) { return .section(.random(&random)) }
    if settings.hasLayers, random.chance(75) { return ofLayers(&random) }
    if settings.hasContents, random.chance(70) {
      let place = ClientOperation.Place.random(&random)
      return random.chance(35)
        ? .read(place)
        : .publish(place, isLarge: random.chance(50), keepsOthers: random.chance(50))
    }
    return ofNames(&random)
  }

  /// Most of it is about one file.
  private static func ofLayers(_ random: inout SplitMix64) -> Self {
    let hot = ClientOperation.Place(directory: nil, name: ClientOperation.names[0])
    let place = random.chance(65) ? hot : .random(&random)
    return switch random.below(100) {
    case ..<15: .publish(place, isLarge: random.chance(50), keepsOthers: random.chance(50))
    case ..<65: .patch(place, keepsOthers: random.chance(50))
    case ..<75: .settle(place)
    default: .read(place)
    }
  }

  private static func ofNames(_ random: inout SplitMix64) -> Self {
    let counters = ClientOperation.counters
    let (place, other) = (
      ClientOperation.Place.random(&random), ClientOperation.Place.random(&random)
    )
    let directory = random.pick(ClientOperation.directories)
    return switch random.below(100) {
    case ..<18: .count([random.pick(counters)])
    case ..<23: .count(counters)
    case ..<38: .create(place)
    case ..<46: .remove(place)
    case ..<52: .link(place, other)
    case ..<60: .rename(place, other)
    case ..<65: .mark(place)
    case ..<71: .makeDirectory(directory)
    case ..<75: .removeDirectory(directory)
    case ..<77: .renameDirectory(directory, random.pick(ClientOperation.directories))
    case ..<86: .look(place)
    case ..<94: .counters
    default: .list
    }
  }
}
