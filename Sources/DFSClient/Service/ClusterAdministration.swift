public import DFSCore

/// What came of settling a file.
public enum Settling: Sendable {
  /// It is one content, or none.
  case settled
  /// It was changed meanwhile: what is older is settled, or nothing, if it was changed otherwise.
  case changed
}

/// What a person, or a program that looks after the cluster, does besides using the files: to look at
/// copies, and to have the servers brought back to what they should be. The class `DFSClient` provides it.
public protocol ClusterAdministration: ClusterStatus {
  /// Whole blocks of one copy, from the server that is named and no other: for who checks copies, or
  /// wants what is left of them.
  /// - Parameter range: bytes of the part, clamped to it; the blocks that cover it are at most 1 MiB.
  /// - Throws: `notFound` if the server does not have the copy; `damaged` if any of the blocks is
  ///   bad; `disconnected` if the server is not up.
  func readCopy(
    _ version: Content, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent

  /// Brings the namespace and the copies of all servers that are up back to what they should be, as
  /// far as that can be done now.
  func heal(_ progress: @escaping @Sendable (HealReport) -> Void) async throws -> HealReport
  /// Makes a file that has layers one content again, split and placed by its MD5.
  /// - Parameter progress: told the bytes of its content that are stored.
  /// - Throws: `serversMissing` unless all four servers are up; what reading and storing throws.
  func settle(_ id: InodeID, _ progress: @escaping @Sendable (UInt64) -> Void) async throws
    -> Settling
  /// A page of the files that are not settled, those that come after a name of that list.
  func unsettled(after name: FileName?) async throws -> (inodes: [Inode], next: FileName?)
  /// Believes from now on what one server alone says, though the others lose most of their rows by it.
  func acceptLoss() async
  /// What each server that is up tells of this user's copies; nothing for the others.
  func health() async -> ClusterHealth
  /// Lets the servers that are up read back all copies of this user.
  /// - Returns: those that began.
  func scrub() async -> ServerSet
}
