internal import DFSCore
internal import Synchronization

/// What the connections of one user have under way, in memory: uploads, versions held open, staged
/// transfers, the copies that were completed but that no row asks for yet, and those that somebody is
/// about to bring.
///
/// Invariants:
/// - What a session began ends with it, and a late request of an ended session begins nothing. The
///   number of a session is never used again.
/// - A version that a session holds is not removed.
/// - A complete copy that no row asks for is not removed while a session that uploaded it lives,
///   unless it is dropped.
/// - No piece of a dropped copy is taken any more, unless a row asks for the copy.
final class Sessions: Sendable {
  private struct UploadKey: Hashable {
    let session: UInt64
    let id: PartID
  }

  private struct Unclaimed {
    var sessions: Set<UInt64> = []
    var completedSeconds: Int64
  }

  private struct Claim {
    let session: UInt64
    let until: ContinuousClock.Instant
  }

  private struct State {
    var uploads: [UploadKey: Upload] = [:]
    var pins: [UInt64: [VersionID: Int]] = [:]
    var transfers: [UInt64: StagedState] = [:]
    var unclaimed: [PartID: Unclaimed] = [:]
    var claims: [PartID: Claim] = [:]
    var counter: UInt64 = 0
    /// The sessions that ended last, for requests that were under way when they did.
    var ended = RecentValues<UInt64>(limit: 4096)
    /// The copies that were dropped last, for pieces that were under way when they were.
    var dropped = RecentValues<PartID>(limit: 4096)

    /// Those that failed count no more, and are forgotten after a while.
    var hasRoomForUpload: Bool {
      mutating get {
        guard uploads.count >= Sessions.uploadLimit else { return true }
        let old = counter - min(counter, Sessions.failedLimit)
        uploads = uploads.filter { $0.value.number > old || !$0.value.hasFailed }
        return uploads.values.count { !$0.hasFailed } < Sessions.uploadLimit
      }
    }
  }

  private static let hasEnded = DFSError(.cancelled, "the connection ended")

  /// Copies of one user that may be on their way at once (each has a descriptor).
  static let uploadLimit = 512
  /// So many uploads later no piece of one that failed comes any more: a connection has fewer under way.
  private static let failedLimit: UInt64 = 4096
  /// Versions that one session may hold; more are not held.
  static let pinLimit = 65_536

  private let state = Mutex(State())

  // MARK: Uploads

  /// The upload that a piece belongs to. A piece at offset 0 of a copy that is already under way,
  /// or that failed, begins it anew.
  func upload(
    _ session: UInt64, _ extent: PartExtent, directory: String
  ) throws(DFSError) -> Upload {
    let key = UploadKey(session: session, id: extent.id)
    let (begun, superseded, isOver) = state.withLock { state -> (Upload?, Upload?, Bool) in
      guard !state.ended.contains(session) else { return (nil, nil, true) }
      let present = state.uploads[key]
      if let present, extent.offset > 0 || present.isUntouched { return (present, nil, false) }
      guard present != nil || state.hasRoomForUpload else {
        return (nil, nil, false)
      }
      state.counter += 1
      let path = "\(directory)/\(extent.id).\(session).\(state.counter)"
      let upload = Upload(
        id: extent.id, length: extent.length, number: state.counter, path: path)
      state.uploads[key] = upload
      return (upload, present, false)
    }
    superseded?.fail(DFSError(.cancelled, "part \(extent.id) was begun again"))
    if isOver { throw Self.hasEnded }
    guard let begun else {
      throw DFSError(
        .busy, "\(Self.uploadLimit) uploads of this user are under way, the limit; try again later")
    }
    return begun
  }

  /// Bytes of copies that are on their way, as far as they have come.
  var uploadedBytes: UInt64 { state.withLock { $0.uploads.values.reduce(0) { $0 + $1.bytes } } }

  /// The copy is in its place; it waits for a change that asks for it.
  func completed(_ session: UInt64, _ id: PartID, nowSeconds: Int64) {
    state.withLock { state in
      state.uploads[UploadKey(session: session, id: id)] = nil
      var unclaimed = state.unclaimed[id] ?? Unclaimed(completedSeconds: nowSeconds)
      if !state.ended.contains(session) { unclaimed.sessions.insert(session) }
      unclaimed.completedSeconds = nowSeconds
      state.unclaimed[id] = unclaimed
    }
  }

  /// A change asks for these copies: they are no orphans.
  func asked(_ ids: some Sequence<PartID>) {
    state.withLock { state in
      for id in ids {
        state.unclaimed[id] = nil
        state.dropped.remove(id)
      }
    }
  }

  /// These copies, which no row asks for, are not wanted any more, whoever uploads them.
  func drop(_ ids: [PartID]) {
    let ids = Set(ids)
    let uploads = state.withLock { state -> [Upload] in
      for id in ids {
        state.unclaimed[id] = nil
        state.dropped.insert(id)
      }
      let keys = state.uploads.keys.filter { ids.contains($0.id) }
      return keys.compactMap { state.uploads.removeValue(forKey: $0) }
    }
    for upload in uploads { upload.fail(Self.wasDropped(upload.id)) }
  }

  func isDropped(_ id: PartID) -> Bool { state.withLock { $0.dropped.contains(id) } }

  static func wasDropped(_ id: PartID) -> DFSError {
    DFSError(.cancelled, "part \(id) was dropped by its writer")
  }

  /// Copies that were completed before `seconds` and that no change asked for since.
  func unclaimed(completedBefore seconds: Int64) -> [PartID] {
    state.withLock { state in
      state.unclaimed.filter { $1.completedSeconds <= seconds }.map(\.key)
    }
  }

  /// Forgets a copy that no row asks for, unless a session that uploaded it lives.
  /// - Returns: whether it may go.
  func forgetOrphan(_ id: PartID) -> Bool {
    state.withLock { state in
      guard state.unclaimed[id]?.sessions.isEmpty ?? true else { return false }
      state.unclaimed[id] = nil
      return true
    }
  }

  var hasUnclaimed: Bool { state.withLock { !$0.unclaimed.isEmpty } }

  // MARK: Claims

  /// How long a copy is left to who said that it would bring it.
  static let claimPeriod = Duration.seconds(30)

  /// Notes that the session is about to bring these copies, but for those that another session has
  /// claimed meanwhile.
  /// - Returns: those that are now its own.
  func claim(_ session: UInt64, _ ids: [PartID]) -> Set<PartID> {
    state.withLock { state in
      guard !state.ended.contains(session) else { return [] }
      let now = ContinuousClock.now
      let free = ids.filter { state.claims[$0].map { $0.until <= now } ?? true }
      for id in free { state.claims[id] = Claim(session: session, until: now + Self.claimPeriod) }
      return Set(free)
    }
  }

  /// Nobody need bring it any more.
  func unclaim(_ id: PartID) { state.withLock { $0.claims[id] = nil } }

  func isAlive(_ session: UInt64) -> Bool { state.withLock { !$0.ended.contains(session) } }

  /// What somebody is bringing.
  var claimed: Set<PartID> {
    state.withLock { state in
      let now = ContinuousClock.now
      state.claims = state.claims.filter { $0.value.until > now }
      return Set(state.claims.keys).union(state.uploads.keys.map(\.id))
    }
  }

  // MARK: Holds

  func pin(_ session: UInt64, _ versions: [VersionID]) {
    state.withLock { state in
      guard !state.ended.contains(session) else { return }
      for version in versions {
        let held = state.pins[session] ?? [:]
        guard held.count < Self.pinLimit || held[version] != nil else { continue }
        state.pins[session, default: [:]][version, default: 0] += 1
      }
    }
  }

  func unpin(_ session: UInt64, _ versions: [VersionID]) {
    state.withLock { state in
      for version in versions {
        guard let count = state.pins[session]?[version] else { continue }
        state.pins[session]?[version] = count > 1 ? count - 1 : nil
      }
    }
  }

  /// Every version that some session holds.
  var held: Set<VersionID> {
    state.withLock { state in state.pins.values.reduce(into: []) { $0.formUnion($1.keys) } }
  }

  // MARK: State transfers

  /// Sets the staged transfer of a session.
  /// - Returns: the one before, which is to be discarded.
  func stage(_ session: UInt64, _ stage: StagedState?) -> StagedState? {
    state.withLock { state in
      guard !state.ended.contains(session) else { return stage }
      defer { state.transfers[session] = stage }
      return state.transfers[session]
    }
  }

  /// About how many bytes of rows are staged.
  var stagedBytes: UInt64 { state.withLock { $0.transfers.values.reduce(0) { $0 + $1.bytes } } }

  func transfer(_ session: UInt64) throws(DFSError) -> StagedState {
    guard let stage = state.withLock({ $0.transfers[session] }) else {
      throw DFSError(
        .protocolViolation, "no transfer is under way on this connection; begin it first")
    }
    return stage
  }

  // MARK: End

  /// The connection has ended.
  /// - Returns: what is left to do, on a thread that may block.
  func end(_ session: UInt64) -> @Sendable () -> Void {
    let (uploads, transfer) = state.withLock { state -> ([Upload], StagedState?) in
      let keys = state.uploads.keys.filter { $0.session == session }
      let uploads = keys.compactMap { state.uploads.removeValue(forKey: $0) }
      state.pins[session] = nil
      state.ended.insert(session)
      for id in state.unclaimed.keys { state.unclaimed[id]?.sessions.remove(session) }
      state.claims = state.claims.filter { $0.value.session != session }
      return (uploads, state.transfers.removeValue(forKey: session))
    }
    return {
      uploads.forEach { $0.fail(Self.hasEnded) }
      transfer?.discard()
    }
  }
}

/// The last values of many, as many as the limit says.
private struct RecentValues<Value: Hashable> {
  private let limit: Int
  private var set: Set<Value> = []
  private var ring: [Value] = []
  private var next = 0

  init(limit: Int) { self.limit = limit }

  func contains(_ value: Value) -> Bool { set.contains(value) }

  mutating func insert(_ value: Value) {
    guard set.insert(value).inserted else { return }
    if ring.count < limit { return ring.append(value) }
    set.remove(ring[next])
    ring[next] = value
    next = (next + 1) % limit
  }

  mutating func remove(_ value: Value) {
    guard set.remove(value) != nil, let index = ring.firstIndex(of: value) else { return }
    ring.remove(at: index)
    if index < next { next -= 1 }
  }
}
