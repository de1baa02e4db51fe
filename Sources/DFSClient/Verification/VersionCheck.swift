public import DFSCore

/// Reads a version back from all who hold it: block checksums, the digest of each part, the MD5 of
/// the whole.
///
/// One copy of each part is read in the order of the content, which gives the MD5; beside it the
/// other copies are read, or only looked for. At most two copies are under way at a time.
public struct VersionCheck: Sendable {
  /// What was found out about a version.
  public struct Verdict: Hashable, Sendable {
    /// Copies of parts that have bytes; a part without bytes needs no copy.
    public fileprivate(set) var copies = 0
    /// Those of which every byte was asked for.
    public fileprivate(set) var copiesRead = 0
    /// Bytes of good blocks that were read, of all copies together.
    public fileprivate(set) var bytesRead: UInt64 = 0
    /// In the order of parts, then of servers.
    public fileprivate(set) var bad: [BadCopy] = []
    /// Parts of which no copy is good.
    public fileprivate(set) var lostParts: [PartIndex] = []
    /// The MD5 of what the good copies hold, if it is not the version's.
    public fileprivate(set) var wrongMD5: MD5Digest?

    /// Of a file that has no version yet: nothing is wrong with it.
    public init() {}

    /// Counts what was found out about another content of the same version, too.
    mutating func add(_ other: Verdict) {
      copies += other.copies
      copiesRead += other.copiesRead
      bytesRead += other.bytesRead
      bad += other.bad
      lostParts += other.lostParts.filter { !lostParts.contains($0) }
      wrongMD5 = wrongMD5 ?? other.wrongMD5
    }

    /// Whether nothing is wrong with any copy that was looked at, or with the MD5.
    public var isGood: Bool { bad.isEmpty && lostParts.isEmpty && wrongMD5 == nil }
    /// Whether each part has a good copy, and together they have the right MD5.
    public var isReadable: Bool { lostParts.isEmpty && wrongMD5 == nil }
  }

  /// A copy that is not what it should be.
  public struct BadCopy: Hashable, Sendable {
    /// The part that it is a copy of.
    public let part: PartIndex
    /// The server that should have it.
    public let server: ServerIndex
    /// What is wrong with it.
    public let fault: CopyFault
    /// The first bad byte of the file; nil if nothing of the copy can be had.
    public let offset: UInt64?
    /// Bytes of damaged blocks, as far as they were read.
    public let badBytes: UInt64
    /// The error that told so, for people.
    public let problem: DFSError
  }

  private struct CopyID: Hashable {
    let part: PartIndex
    let server: ServerIndex
  }

  private typealias Results = [CopyID: CopyCheck.Result]

  private let service: any ClusterAdministration
  private let version: Content
  private let everyCopy: Bool
  private let progress: @Sendable (UInt64) -> Void

  /// - Parameters:
  ///   - everyCopy: read every copy; else one of each part, and only the first block of the others.
  ///   - progress: told the bytes of each step; in the end they are `bytes(of:everyCopy:)`, or more
  ///     if a copy was bad.
  public init(
    _ version: Content, on service: any ClusterAdministration, everyCopy: Bool,
    progress: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) {
    self.version = version
    self.service = service
    self.everyCopy = everyCopy
    self.progress = progress
  }

  /// Bytes that a check of `version` is to read.
  public static func bytes(of version: Version, everyCopy: Bool) -> UInt64 {
    version.contents.reduce(0) { sum, content in
      guard everyCopy else { return sum + content.size }
      return PartIndex.all.reduce(sum) { sum, part in
        sum + content.split.length(of: part) * UInt64(content.placement.holders(of: part).count)
      }
    }
  }

  /// - Throws: what says nothing about the copies: an interruption.
  public func run() async throws -> Verdict {
    let up = ServerSet(await service.serverStates().filter(\.isUp).map(\.server))
    let orders = PartIndex.all.filter { version.split.length(of: $0) > 0 }
      .map { ($0, Self.order(version.placement.holders(of: $0), up: up)) }
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
    CopyCheck(service: service, version: version, part: part, server: server)
  }

  // MARK: The verdict

  private func verdict(
    _ results: Results, of parts: [PartIndex], _ md5: MD5Hasher?
  ) -> Verdict {
    var verdict = Verdict()
    for part in parts {
      let holders = version.placement.holders(of: part).servers
      let found = holders.map { ($0, results[CopyID(part: part, server: $0)]) }
      verdict.copies += holders.count
      verdict.copiesRead += everyCopy ? holders.count : 1
      verdict.bytesRead += found.reduce(0) { $0 + ($1.1?.bytesRead ?? 0) }
      verdict.bad += found.compactMap { bad(part, $0.0, $0.1) }
      if found.allSatisfy({ $0.1?.fault != nil }) { verdict.lostParts.append(part) }
    }
    if let found = md5?.finish(), verdict.lostParts.isEmpty, found != version.md5 {
      verdict.wrongMD5 = found
    }
    return verdict
  }

  private func bad(
    _ part: PartIndex, _ server: ServerIndex, _ result: CopyCheck.Result?
  ) -> BadCopy? {
    guard let result, let fault = result.fault, let problem = result.problem else { return nil }
    let start = version.split.range(of: part).lowerBound
    return BadCopy(
      part: part, server: server, fault: fault, offset: result.offset.map { start + $0 },
      badBytes: result.badBytes, problem: problem)
  }
}
