internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// The bytes of one version: its base, then the layers over it, the oldest first.
///
/// Invariant: one piece of a part is in memory, and the index of a layer, whatever the size of the file.
struct RescueContent {
  let users: [OfflineUser]
  let keepsPartial: Bool
  let progress: RescueProgress
  let note: (String) -> Void

  /// Writes the version to `file`, which is empty. Where a part is missing, `file` has zeros, or nothing of use if it
  /// is not to be kept.
  /// - Returns: what is wrong with what it is made of.
  /// - Throws: what `file` refuses; an interruption.
  func write(_ version: Version, to file: File) throws -> [RescueFlaw] {
    var flaws: [RescueFlaw] = []
    if let base = version.base {
      flaws += try write(base, as: version.layers.isEmpty ? .whole : .base, to: file)
    }
    for (number, layer) in version.layers.enumerated() {
      flaws += try write(
        layer, as: .layer(number + 1), to: file, isKept: keepsPartial || flaws.isEmpty)
    }
    guard flaws.isEmpty, !version.layers.isEmpty, let md5 = version.md5 else { return flaws }
    return try hash(of: file, version.size) == md5
      ? [] : [RescueFlaw(place: .whole, kind: .mismatched(md5))]
  }

  private func write(
    _ content: Content, as place: ContentPlace, to file: File
  ) throws -> [RescueFlaw] {
    var offline = OfflineContent(content, from: users, note: note)
    let isKept = keepsPartial || !offline.lacksParts
    let outcome = try offline.read(progress, note: note) { offset, bytes, gaps in
      if isKept, gaps.byteCount < UInt64(bytes.count) { try file.write(bytes, at: offset) }
    }
    if isKept { try file.setLength(content.size) }
    return RescueFlaw(outcome, of: content, at: place).map { [$0] } ?? []
  }

  private func write(
    _ layer: Layer, as place: ContentPlace, to file: File, isKept: Bool
  ) throws -> [RescueFlaw] {
    var offline = OfflineContent(layer.content, from: users, note: note)
    var writer =
      isKept && (keepsPartial || !offline.lacksParts) ? try RescueLayer(layer, file) : nil
    let outcome = try offline.read(progress, note: note) { offset, bytes, gaps in
      try writer?.take(bytes, at: offset, gaps)
    }
    var flaws = RescueFlaw(outcome, of: layer.content, at: place).map { [$0] } ?? []
    if let problem = writer?.finish() {
      flaws.append(RescueFlaw(place: place, kind: .unplaced(problem)))
    }
    return flaws
  }

  /// The MD5 of what was written.
  private func hash(of file: File, _ size: UInt64) throws -> MD5Digest {
    var hasher = MD5Hasher()
    while hasher.count < size {
      try progress.checkInterruption()
      let count = Int(min(size - hasher.count, UInt64(OfflinePart.pieceBytes)))
      let bytes = try file.read(count: count, at: hasher.count)
      bytes.withUnsafeBytes { hasher.update($0) }
    }
    return hasher.finish()
  }
}

/// What is wrong with one of the contents of a version.
struct RescueFlaw {
  enum Kind {
    case missing([PartIndex])
    /// Every part is proven, but the MD5 is not this one.
    case mismatched(MD5Digest)
    /// Where the bytes of a layer belong cannot be told.
    case unplaced(DFSError)
  }

  let place: ContentPlace
  let kind: Kind

  init(place: ContentPlace, kind: Kind) {
    self.place = place
    self.kind = kind
  }

  fileprivate init?(_ outcome: OfflineContent.Outcome, of content: Content, at place: ContentPlace)
  {
    switch outcome {
    case .whole: return nil
    case .missing(let parts): kind = .missing(parts)
    case .mismatched: kind = .mismatched(content.md5)
    }
    self.place = place
  }
}
