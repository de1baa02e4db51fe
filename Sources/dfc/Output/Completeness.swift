import DFSClient
import DFSCore

/// Which parts of files are on no server that is up.
enum Completeness {
  /// Versions asked about at once.
  private static let batch = 1_000

  /// - Returns: for each version that is incomplete the parts that were not found.
  static func missingParts(of versions: [Version], on service: any ClusterStatus) async throws
    -> [VersionID: [PartIndex]]
  {
    var missing: [VersionID: [PartIndex]] = [:]
    for start in stride(from: 0, to: versions.count, by: batch) {
      let some = versions[start..<min(start + batch, versions.count)]
      let found = try await service.copies(some.flatMap(\.contents).map(\.id))
      for version in some {
        let parts = Set(version.contents.flatMap { absent(of: $0, found[$0.id]) })
        if !parts.isEmpty { missing[version.id] = parts.sorted { $0.value < $1.value } }
      }
    }
    return missing
  }

  /// A part without bytes is nowhere needed.
  private static func absent(of content: Content, _ found: Placement?) -> [PartIndex] {
    PartIndex.all.filter { part in
      content.split.length(of: part) > 0 && found?.holders(of: part).isEmpty ?? true
    }
  }

  /// Parts that are named, of many layers.
  private static let listed = 12

  private static func list(_ parts: [String]) -> String {
    parts.prefix(listed).joined(separator: ", ")
      + (parts.count > listed ? " and \(parts.count - listed) more" : "")
  }

  /// What to say of a file that cannot be read whole: which parts are missing, where they should
  /// be, and why those servers do not give them.
  /// - Parameter error: what the read failed with.
  static func explanation(
    of version: Version, on service: any ClusterStatus, _ error: DFSError
  ) async -> DFSError {
    let down = await service.serverStates().filter { !$0.isUp }
    let found = try? await service.copies(version.contents.map(\.id))
    let parts = version.placed.flatMap { place, content in
      absent(of: content, found?[content.id]).map { part in
        "part \(part)\(place.suffix) (\(content.placement.holders(of: part)))"
      }
    }
    let problems = down.map { $0.problem?.message ?? "\($0.server)" }
    let reason =
      down.isEmpty
      ? "All servers are up, but have lost it" : "Down: " + problems.joined(separator: "; ")
    // Copies that are there and cannot be used are not missing: the read says what is wrong.
    let fact =
      parts.isEmpty
      ? error.description : "Missing: \(list(parts)). \(reason)"
    return DFSError(
      .incomplete, "File is incomplete. \(fact). get --partial fetches what is there")
  }
}
