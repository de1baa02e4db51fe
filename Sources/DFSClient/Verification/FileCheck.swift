public import DFSCore

/// Reads back all that a file is made of, even if it is replaced meanwhile: copies of a content that nobody
/// names any more are removed, and that is no fault of theirs.
public struct FileCheck: Sendable {
  /// How often a file that is replaced while it is checked is begun again.
  private static let attempts = 5

  private let service: any FileService & ClusterAdministration
  private let everyCopy: Bool
  private let progress: @Sendable (UInt64) -> Void

  /// - Parameters: as of `ContentCheck`.
  public init(
    on service: any FileService & ClusterAdministration, everyCopy: Bool,
    progress: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) {
    self.service = service
    self.everyCopy = everyCopy
    self.progress = progress
  }

  /// Bytes that a check of `version` is to read.
  public static func bytes(of version: Version, everyCopy: Bool) -> UInt64 {
    version.contents.reduce(0) { $0 + ContentCheck.bytes(of: $1, everyCopy: everyCopy) }
  }

  /// - Returns: nil for a file that was removed meanwhile.
  public func run(_ inode: Inode) async throws -> Verdict? {
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

  private func check(_ inode: Inode) async throws -> Verdict {
    guard let version = inode.version else { return Verdict() }
    // A small file is read at once; telling every server to keep it would take longer.
    if let content = version.content, content.split.isInline {
      return try await check(content, as: .whole)
    }
    return try await service.pinning(version) {
      var verdict = Verdict()
      for (place, content) in version.placed {
        let found = try await check(content, as: place)
        verdict.add(found)
        guard case .layer(let number) = place, found.isReadable else { continue }
        if let problem = try await indexProblem(of: version.layers[number - 1]) {
          verdict.wrong.append(WrongContent(place: place, problem: .index(problem)))
        }
      }
      return verdict
    }
  }

  private func check(_ content: Content, as place: ContentPlace) async throws -> Verdict {
    try await ContentCheck(
      content, as: place, on: service, everyCopy: everyCopy, progress: progress
    ).run()
  }

  /// Why it cannot be told where the bytes of a layer belong; nil if it can.
  private func indexProblem(of layer: Layer) async throws -> DFSError? {
    guard case .content(let count) = layer.index else { return nil }
    do {
      let bytes = try await service.readWhole(Version(layer.content), 0..<UInt64(count))
      _ = try LayerIndex.extents(bytes, of: layer)
      return nil
    } catch {
      if Task.isCancelled { throw DFSError.cancelled }
      return DFSError(error, else: .inputOutput)
    }
  }
}
