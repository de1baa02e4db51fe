internal import DFSCore
internal import Synchronization

/// What the connections of one user have under way, in memory: uploads, versions held open, staged
/// refills, and the copies that were completed but that no change has named yet.
///
/// Invariants:
/// - What a session began ends with it, and a late request of an ended session begins nothing. The
///   number of a session is never used again.
/// - A version that a session holds is not removed.
/// - A complete copy that no change names is not removed while a session that uploaded it lives.
final class Sessions: Sendable {
  private struct UploadKey: Hashable {
    let session: UInt64
    let id: PartID
  }

  private struct Unnamed {
    var sessions: Set<UInt64> = []
    var completedSeconds: Int64
    var ids: Set<PartID> = []
  }

  private struct State {
    var uploads: [UploadKey: Upload] = [:]
    var holds: [UInt64: [VersionID: Int]] = [:]
    var refills: [UInt64: RefillStage] = [:]
    var unnamed: [VersionID: Unnamed] = [:]
    var counter: UInt64 = 0
    var ended = EndedSessions()
  }

  /// The sessions that ended last, for requests that were under way when they did.
  private struct EndedSessions {
    static let bound = 4096
    private var set: Set<UInt64> = []
    private var ring: [UInt64] = []
    private var next = 0

    func contains(_ session: UInt64) -> Bool { set.contains(session) }

    mutating func insert(_ session: UInt64) {
      guard set.insert(session).inserted else { return }
      if ring.count < Self.bound { return ring.append(session) }
      set.remove(ring[next])
      ring[next] = session
      next = (next + 1) % Self.bound
    }
  }

  private static let hasEnded = DFSError(.cancelled, "the connection ended")

  /// Copies of one user that may be on their way at once (each has a descriptor).
  static let uploadBound = 512
  /// Versions that one session may hold; more are not held.
  static let holdBound = 65_536

  private let state = Mutex(State())

  // MARK: Uploads

  /// The upload that a piece belongs to. A piece at offset 0 of a copy that is already under way,
  /// or that failed, begins it anew.
  func upload(
    _ session: UInt64, _ extent: PartExtent, directory: String
  ) throws(DFSError) -> Upload {
    let key = UploadKey(session: session, id: extent.id)
    let (begun, displaced, isOver) = state.withLock { state -> (Upload?, Upload?, Bool) in
      guard !state.ended.contains(session) else { return (nil, nil, true) }
      let present = state.uploads[key]
      if let present, extent.offset > 0 || present.isUntouched { return (present, nil, false) }
      guard present != nil || state.uploads.count < Self.uploadBound else {
        return (nil, nil, false)
      }
      state.counter += 1
      let path = "\(directory)/\(extent.id).\(session).\(state.counter)"
      let upload = Upload(id: extent.id, length: extent.length, path: path)
      state.uploads[key] = upload
      return (upload, present, false)
    }
    displaced?.fail(DFSError(.cancelled, "part \(extent.id) was begun again"))
    if isOver { throw Self.hasEnded }
    guard let begun else {
      throw DFSError(
        .busy, "\(Self.uploadBound) uploads of this user are under way, the bound; try again later")
    }
    return begun
  }

  /// The copy is in its place; it waits for a change that names it.
  func completed(_ session: UInt64, _ id: PartID, nowSeconds: Int64) {
    state.withLock { state in
      state.uploads[UploadKey(session: session, id: id)] = nil
      var unnamed = state.unnamed[id.version] ?? Unnamed(completedSeconds: nowSeconds)
      if !state.ended.contains(session) { unnamed.sessions.insert(session) }
      unnamed.completedSeconds = nowSeconds
      unnamed.ids.insert(id)
      state.unnamed[id.version] = unnamed
    }
  }

  /// A change names these versions: their copies are no orphans.
  func named(_ versions: some Sequence<VersionID>) {
    state.withLock { state in for version in versions { state.unnamed[version] = nil } }
  }

  /// Versions whose copies were completed before `seconds` and named by no change since.
  func unnamed(completedBefore seconds: Int64) -> [VersionID] {
    state.withLock { state in
      state.unnamed.filter { $1.completedSeconds <= seconds }.map(\.key)
    }
  }

  /// Forgets a version that no row names, unless a session that uploaded it lives.
  /// - Returns: whether its copies may go.
  func forgetOrphan(_ version: VersionID) -> Bool {
    state.withLock { state in
      guard state.unnamed[version]?.sessions.isEmpty ?? true else { return false }
      state.unnamed[version] = nil
      return true
    }
  }

  var hasUnnamed: Bool { state.withLock { !$0.unnamed.isEmpty } }

  // MARK: Holds

  func hold(_ session: UInt64, _ versions: [VersionID]) {
    state.withLock { state in
      guard !state.ended.contains(session) else { return }
      for version in versions {
        let held = state.holds[session] ?? [:]
        guard held.count < Self.holdBound || held[version] != nil else { continue }
        state.holds[session, default: [:]][version, default: 0] += 1
      }
    }
  }

  func release(_ session: UInt64, _ versions: [VersionID]) {
    state.withLock { state in
      for version in versions {
        guard let count = state.holds[session]?[version] else { continue }
        state.holds[session]?[version] = count > 1 ? count - 1 : nil
      }
    }
  }

  /// Every version that some session holds.
  var held: Set<VersionID> {
    state.withLock { state in state.holds.values.reduce(into: []) { $0.formUnion($1.keys) } }
  }

  // MARK: Refills

  /// Sets the staged refill of a session.
  /// - Returns: the one before, which is to be discarded.
  func stage(_ session: UInt64, _ stage: RefillStage?) -> RefillStage? {
    state.withLock { state in
      guard !state.ended.contains(session) else { return stage }
      defer { state.refills[session] = stage }
      return state.refills[session]
    }
  }

  func refill(_ session: UInt64) throws(DFSError) -> RefillStage {
    guard let stage = state.withLock({ $0.refills[session] }) else {
      throw DFSError(
        .protocolViolation, "no refill is under way on this connection; begin it first")
    }
    return stage
  }

  // MARK: End

  /// The connection has ended.
  /// - Returns: what is left to do, on a thread that may block.
  func end(_ session: UInt64) -> @Sendable () -> Void {
    let (uploads, refill) = state.withLock { state -> ([Upload], RefillStage?) in
      let keys = state.uploads.keys.filter { $0.session == session }
      let uploads = keys.compactMap { state.uploads.removeValue(forKey: $0) }
      state.holds[session] = nil
      state.ended.insert(session)
      for version in state.unnamed.keys { state.unnamed[version]?.sessions.remove(session) }
      return (uploads, state.refills.removeValue(forKey: session))
    }
    return {
      uploads.forEach { $0.fail(Self.hasEnded) }
      refill?.discard()
    }
  }
}
