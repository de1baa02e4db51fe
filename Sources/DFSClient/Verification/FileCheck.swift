public import DFSCore

/// Reads back the content that a file has, even if it is replaced meanwhile: copies of a content that
/// nobody names any more are removed, and that is no fault of theirs.
public struct FileCheck: Sendable {
  /// How often a file that is replaced while it is checked is begun again.
  private static let attempts = 5

  private let service: any FileService & ClusterAdministration
  private let everyCopy: Bool
  private let progress: @Sendable (UInt64) -> Void

  /// - Parameters: as of `VersionCheck`.
  public init(
    on service: any FileService & ClusterAdministration, everyCopy: Bool,
    progress: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) {
    self.service = service
    self.everyCopy = everyCopy
    self.progress = progress
  }

  /// - Returns: nil for a file that was removed meanwhile.
  public func run(_ inode: Inode) async throws -> VersionCheck.Verdict? {
    var (inode, attempt) = (inode, 1)
    while true {
      let verdict = try await check(inode)
      if verdict.isGood { return verdict }
      let now: Inode
      do {
        now = try await service.inode(inode.id, .current)
      } catch let error as DFSError where [.staleHandle, .notFound].contains(error.code) {
        return nil
      }
      guard now.version != inode.version, attempt < Self.attempts else { return verdict }
      (inode, attempt) = (now, attempt + 1)
    }
  }

  private func check(_ inode: Inode) async throws -> VersionCheck.Verdict {
    guard let version = inode.version else { return VersionCheck.Verdict() }
    // A small file is read at once; telling every server to keep it would take longer.
    if let content = version.content, content.split.isInline { return try await check(content) }
    return try await service.pinning(version) {
      var verdict = VersionCheck.Verdict()
      for content in version.contents { verdict.add(try await check(content)) }
      return verdict
    }
  }

  private func check(_ content: Content) async throws -> VersionCheck.Verdict {
    try await VersionCheck(content, on: service, everyCopy: everyCopy, progress: progress).run()
  }
}
