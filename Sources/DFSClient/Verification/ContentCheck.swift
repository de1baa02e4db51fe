public import DFSCore

/// Reads a content back from all who hold it: block checksums, the digest of each part, the MD5 of
/// the whole.
///
/// One copy of each part is read in the order of the content, which gives the MD5; beside it the
/// other copies are read, or only looked for. At most two copies are under way at a time.
public struct ContentCheck: Sendable {
  private struct CopyID: Hashable {
    let part: PartIndex
    let server: ServerIndex
  }

  private typealias Results = [CopyID: CopyCheck.Result]

  private let service: any ClusterAdministration
  private let content: Content
  private let place: ContentPlace
  private let everyCopy: Bool
  private let progress: @Sendable (UInt64) -> Void

  /// - Parameters:
  ///   - place: which content of a version it is.
  ///   - everyCopy: read every copy; else one of each part, and only the first block of the others.
  ///   - progress: told the bytes of each step; in the end they are `bytes(of:everyCopy:)`, or more
  ///     if a copy was bad.
  public init(
    _ content: Content, as place: ContentPlace = .whole, on service: any ClusterAdministration,
    everyCopy: Bool, progress: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) {
    self.content = content
    self.place = place
    self.service = service
    self.everyCopy = everyCopy
    self.progress = progress
  }

  /// Bytes that a check of `content` is to read.
  public static func bytes(of content: Content, everyCopy: Bool) -> UInt64 {
    guard everyCopy else { return content.size }
    return PartIndex.all.reduce(0) { sum, part in
      sum + content.split.length(of: part) * UInt64(content.placement.holders(of: part).count)
    }
  }

  /// - Throws: what says nothing about the copies: an interruption.
  public func run() async throws -> FileCheck.Verdict {
    let up = ServerSet(await service.serverStates().filter(\.isUp).map(\.server))
    let orders = PartIndex.all.filter { content.split.length(of: $0) > 0 }
      .map { ($0, Self.order(content.placement.holders(of: $0), up: up)) }
    async let others = readOthers(orders)
    let (firsts, md5) = try await readFirsts(orders)
    let results = try await others.merging(firsts) { $0.fault == nil ? $1 : $0 }
    return verdict(results, of: orders.map(\.0), md5)
  }

  /// The copy that is read for the MD5 comes first.
  private static func order(_ holders: ServerSet, up: ServerSet) -> [ServerIndex] {
    guard let first = holders.intersection(up).preferred ?? holders.preferred else { return [] }
    return [first] + holders.servers.filter { $0 != first }
  }

  // MARK: Two passes

  /// One good copy of each part, in order.
  private func readFirsts(
    _ orders: [(PartIndex, [ServerIndex])]
  ) async throws -> (Results, MD5Hasher?) {
    var results: Results = [:]
    var md5: MD5Hasher? = MD5Hasher()
    for (part, servers) in orders {
      var isFound = false
      for server in servers where !isFound {
        let result = try await check(part, server).run(continuing: md5, progress: progress)
        results[CopyID(part: part, server: server)] = result
        isFound = result.fault == nil
        if isFound { md5 = result.md5 }
      }
      if !isFound { md5 = nil }
    }
    return (results, md5)
  }

  private func readOthers(_ orders: [(PartIndex, [ServerIndex])]) async throws -> Results {
    var results: Results = [:]
    for (part, servers) in orders {
      for server in servers.dropFirst() {
        let check = check(part, server)
        results[CopyID(part: part, server: server)] =
          try await everyCopy ? check.run(progress: progress) : check.presence()
      }
    }
    return results
  }

  private func check(_ part: PartIndex, _ server: ServerIndex) -> CopyCheck {
    CopyCheck(service: service, version: content, part: part, server: server)
  }

  // MARK: The verdict

  private func verdict(
    _ results: Results, of parts: [PartIndex], _ md5: MD5Hasher?
  ) -> FileCheck.Verdict {
    var verdict = FileCheck.Verdict()
    for part in parts {
      let holders = content.placement.holders(of: part).servers
      let found = holders.map { ($0, results[CopyID(part: part, server: $0)]) }
      verdict.copies += holders.count
      verdict.copiesRead += everyCopy ? holders.count : 1
      verdict.bytesRead += found.reduce(0) { $0 + ($1.1?.bytesRead ?? 0) }
      verdict.bad += found.compactMap { bad(part, $0.0, $0.1) }
      if found.allSatisfy({ $0.1?.fault != nil }) { verdict.lostParts.append(part) }
    }
    if let found = md5?.finish(), verdict.lostParts.isEmpty, found != content.md5 {
      verdict.wrong = [FileCheck.WrongContent(place: place, problem: .md5(found))]
    }
    return verdict
  }

  private func bad(
    _ part: PartIndex, _ server: ServerIndex, _ result: CopyCheck.Result?
  ) -> FileCheck.BadCopy? {
    guard let result, let fault = result.fault, let problem = result.problem else { return nil }
    let start = content.split.range(of: part).lowerBound
    return FileCheck.BadCopy(
      place: place, part: part, server: server, fault: fault,
      offset: result.offset.map { start + $0 },
      badBytes: result.badBytes, problem: problem)
  }
}
