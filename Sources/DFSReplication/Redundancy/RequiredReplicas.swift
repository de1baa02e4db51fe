public import DFSCore

/// Which copies the rows ask of one server, and what a written row changes in that: pure values.
/// DFSStore keeps its tables by it; the simulation keeps its own.
///
/// A copy is *asked for* while some inode's row places it on this server. A copy that is asked for
/// and is not here is *missing*; one that is here and is not asked for is *unreferenced*.
public struct RequiredReplicas: Hashable, Sendable {
  /// The server whose copies are meant.
  public let server: ServerIndex

  /// The rule for the copies of `server`.
  public init(server: ServerIndex) { self.server = server }

  /// The copies that a content asks of this server.
  public func copies(of content: RowContent?) -> [PartID] {
    guard let content else { return [] }
    return content.placement.parts(on: server).map { PartID(version: content.version, part: $0) }
  }

  /// What follows from an inode's content becoming another.
  public struct Difference: Hashable, Sendable {
    /// Asked for from now on: missing, unless they are here.
    public var added: [PartID] = []
    /// No longer asked for by this inode: unreferenced, unless another inode asks for them.
    public var dropped: [PartID] = []

    /// No difference, but for what is given.
    public init(added: [PartID] = [], dropped: [PartID] = []) {
      self.added = added
      self.dropped = dropped
    }
  }

  /// What changes for this server as the content of an inode becomes `new`; nil is no content.
  public func difference(from old: RowContent?, to new: RowContent?) -> Difference {
    if old == new { return Difference() }
    let (before, after) = (copies(of: old), copies(of: new))
    return Difference(
      added: after.filter { !before.contains($0) }, dropped: before.filter { !after.contains($0) })
  }
}

/// When a copy that no row asks for may be removed.
///
/// The change that let go of it must be known to be on three servers, or the rows may yet go back to
/// asking for it; it must be on stable storage here, or a loss of power would bring back the row
/// without the copy; readers that have the version open keep it; and a grace period leaves time to
/// those that have just looked the row up.
public struct CopyRelease: Hashable, Sendable {
  /// The number of the change that let go of the copy, and when that was, in seconds.
  public let number: UInt64
  /// Seconds since 1970.
  public let sinceSeconds: Int64
  /// Whether it was let go of as all rows were replaced, by what one client brought: such a copy is kept
  /// longer.
  public let isTransferred: Bool

  /// A copy that change `number` let go of.
  public init(number: UInt64, sinceSeconds: Int64, isTransferred: Bool = false) {
    self.number = number
    self.sinceSeconds = sinceSeconds
    self.isTransferred = isTransferred
  }

  /// - Parameters:
  ///   - committed: every change up to this number is known to be on three servers.
  ///   - durable: every change up to this number is on stable storage here.
  public func mayRemove(
    committed: UInt64, durable: UInt64, isHeld: Bool, nowSeconds: Int64, graceSeconds: Int64
  ) -> Bool {
    number <= committed && number <= durable && !isHeld && sinceSeconds <= nowSeconds - graceSeconds
  }
}
