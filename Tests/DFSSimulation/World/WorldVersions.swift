internal import DFSCore

/// What the versions of a world are, told from the bytes of their contents, by the words of docs/FORMATS.md and
/// nothing that ships but the reading of an index.
final class WorldVersions {
  enum Made: Hashable {
    case vector(CellVector)
    /// It is made of contents that nobody stored.
    case unknown
    /// It has bytes that no order of writes gives, or another MD5 than it says.
    case wrong(String)

    var vector: CellVector? { if case .vector(let vector) = self { vector } else { nil } }
  }

  private unowned let contents: WorldContents
  private var made: [Version: Made] = [:]

  init(_ contents: WorldContents) { self.contents = contents }

  func of(_ version: Version) -> Made {
    if let known = made[version] { return known }
    let found = make(version)
    // What is not stored yet may be later.
    if found != .unknown { made[version] = found }
    return found
  }

  func vector(of version: Version?) -> CellVector? { version.flatMap { of($0).vector } }

  private func make(_ version: Version) -> Made {
    do {
      guard let bytes = try bytes(of: version) else { return .unknown }
      if let md5 = version.md5, MD5Digest.of(bytes) != md5 {
        return .wrong("version \(version.id.brief) has another MD5 than its bytes")
      }
      guard let vector = CellVector(bytes) else {
        return .wrong("version \(version.id.brief) has bytes that nobody wrote")
      }
      return .vector(vector)
    } catch {
      return .wrong("version \(version.id.brief): \(error)")
    }
  }

  private func bytes(of version: Version) throws -> [UInt8]? {
    var bytes: [UInt8] = []
    if let base = version.base {
      guard let stored = contents.bytes(of: base) else { return nil }
      bytes = stored
    }
    for layer in version.layers {
      guard let stored = contents.bytes(of: layer.content) else { return nil }
      // What is below shows up to the cut, and is zeros behind its own end.
      let below = bytes.prefix(Int(min(layer.cut, layer.size)))
      bytes = Array(below) + [UInt8](repeating: 0, count: Int(layer.size) - below.count)
      let extents = try extents(of: layer, stored)
      var position = Int(layer.dataStart)
      for extent in extents {
        let range = Int(extent.range.lowerBound)..<Int(extent.range.upperBound)
        if extent.isZeros {
          bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
        } else {
          bytes.replaceSubrange(range, with: stored[position..<position + range.count])
          position += range.count
        }
      }
    }
    return bytes
  }

  private func extents(of layer: Layer, _ stored: [UInt8]) throws -> [LayerExtent] {
    switch layer.index {
    case .row(let extents): extents
    case .content(let count): try LayerIndex.extents(Array(stored.prefix(Int(count))), of: layer)
    }
  }

  /// Whether a version may be a whole file with large holes, published as a layer over nothing which has all but the
  /// holes: cells of others too, which were in versions below.
  func isPacked(_ version: Version) -> Bool {
    guard version.base == nil, version.layers.count == 1, let layer = version.layers.first,
      layer.cut == 0, let stored = contents.bytes(of: layer.content),
      let extents = try? extents(of: layer, stored)
    else { return false }
    let bytes = layer.content.size - layer.dataStart
    return Version.isSparse(size: version.size, stored: bytes)
      && !extents.contains(where: \.isZeros)
  }

  /// The token of who wrote a layer.
  func author(of layer: Layer) -> UInt64? {
    guard let stored = contents.bytes(of: layer.content) else { return nil }
    let header = stored.dropFirst(Int(layer.dataStart)).prefix(8)
    return header.count == 8 ? UInt64(bigEndian: Array(header)) >> 8 : nil
  }
}
