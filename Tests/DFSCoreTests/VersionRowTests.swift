import DFSTestSupport
import Testing

@testable import DFSCore

/// The rows of files whose versions have layers, and of these layers.
@Suite struct VersionRowTests {
  private static func content(_ number: UInt64, size: UInt64) -> Content {
    let md5 = MD5Digest.of(number.bigEndianBytes)
    return Content(
      id: VersionID(high: 3, low: number), size: size, md5: md5, placement: Placement(md5: md5),
      serverList: 1, partDigests: (1...4).map { BlockChecksum(number << 8 | $0) })
  }

  static func layer(_ number: UInt64, _ extents: [LayerExtent], cut: UInt64, size: UInt64) -> Layer
  {
    Layer(
      inode: InodeID(1000 + number), content: content(number, size: extents.storedBytes), cut: cut,
      size: size, index: .row(extents))
  }

  private static func indexed(_ number: UInt64, bytes: UInt32, size: UInt64) -> Layer {
    Layer(
      inode: InodeID(1000 + number), content: content(number, size: UInt64(bytes) + 5), cut: size,
      size: size, index: .content(bytes: bytes))
  }

  private static func file(_ version: Version) -> Inode {
    Inode(
      id: InodeID(258), kind: .regular, mode: 0o644, owner: 1, group: 2,
      time: Timestamp(nanoseconds: 3), version: version)
  }

  static var layers: [Layer] {
    [
      layer(1, [LayerExtent(0..<10), LayerExtent(90..<100, isZeros: true)], cut: 100, size: 200),
      layer(2, [], cut: 0, size: 0),
      indexed(3, bytes: 300, size: 1 << 40),
      layer(
        4, (0..<40).map { LayerExtent($0 * 1000..<$0 * 1000 + 10) }, cut: 40_000,
        size: Limits.fileBytes),
    ]
  }

  static var inodes: [Inode] {
    let base = content(0, size: 5000)
    let id = VersionID(high: 5, low: 6)
    let many = (0..<UInt64(Version.layersLimit)).map {
      layer($0, [LayerExtent(0..<1)], cut: 0, size: 1)
    }
    return [
      Version(id: id, base: base, layers: layers),
      Version(id: id, base: nil, layers: layers),
      Version(id: id, base: nil, layers: [layers[0]], md5: .of([1])),
      Version(id: id, base: base, layers: [layers[2]], md5: .of([2])),
      Version(id: id, base: base, layers: many),
    ].map(file)
  }

  @Test func roundTrips() throws {
    for inode in Self.inodes {
      let row = inode.row
      let value = try #require(row.value)
      let read = try Inode(id: inode.id, row: value.bytes)
      #expect(read == inode)
      #expect(value.bytes.first == 2)
      // The servers are asked for the base; each layer has a row of its own.
      #expect(value.version == inode.version?.base?.id && value.child == nil)
      #expect(value.content?.placement == inode.version?.base?.placement)
      let version = try #require(read.version)
      #expect(version.size == version.layers.last?.size && read.size == version.size)
      #expect(version.content == nil && version.md5 == inode.version?.md5)
    }
  }

  @Test func aLayersRowIsThatOfAContent() throws {
    let content = Self.content(1, size: 10)
    let inode = Inode(
      id: InodeID(1001), kind: .layer, mode: 0, owner: 1, group: 2, links: 0,
      time: Timestamp(nanoseconds: 3), parent: InodeID(258), version: Version(content))
    #expect(inode.row.value?.version == content.id)
    #expect(
      inode.encoded.hexadecimal
        == "0108" + "00000000" + "00000001" + "00000002" + "00000000" + "0000000000000003"
        + "0000000000000003" + "0000000000000003" + "0000000000000000" + "0000000000000102"
        + "0000" + "01" + Self.hexadecimal(of: content))
    #expect(try Inode(id: inode.id, row: inode.encoded) == inode)
  }

  /// The bytes of a content, with its digests where they are in the row.
  private static func hexadecimal(of content: Content) -> String {
    let parts = PartIndex.all.map { part in
      [content.placement.holders(of: part).rawValue].hexadecimal
        + content.digest(of: part).value.bigEndianBytes.hexadecimal
    }
    return content.id.description + content.size.bigEndianBytes.hexadecimal
      + content.md5.description + "00000001" + parts.joined()
  }

  private static let head =
    "0201" + "000001a4" + "00000001" + "00000002" + "00000001" + "0000000000000003"
    + "0000000000000003" + "0000000000000003" + "0000000000000000" + "0000000000000102" + "0000"

  @Test func goldenBytes() {
    let base = Self.content(0, size: 5000)
    let id = VersionID(high: 5, low: 6)
    let (first, other) = (Self.layers[0], Self.layers[2])
    let one = Self.file(Version(id: id, base: base, layers: [first, other]))
    #expect(
      one.encoded.hexadecimal
        == Self.head + "00000000000000050000000000000006" + "00" + "01"
        + Self.hexadecimal(of: base) + "0002"
        // The first layer: its index is here.
        + "00000000000003e9" + Self.hexadecimal(of: first.content) + "0000000000000064"
        + "00000000000000c8" + "00" + "0005" + "02" + "0014" + "5015"
        // The other one has it in its content.
        + "00000000000003eb" + Self.hexadecimal(of: other.content) + "0000010000000000"
        + "0000010000000000" + "01" + "0000012c")
    let sparse = Self.file(Version(id: id, base: nil, layers: [first], md5: .of([1, 2, 3])))
    #expect(
      sparse.encoded.hexadecimal
        == Self.head + "00000000000000050000000000000006" + "01"
        + "5289df737df57326fcdd22597afb1fac" + "00" + "0001"
        + "00000000000003e9" + Self.hexadecimal(of: first.content) + "0000000000000064"
        + "00000000000000c8" + "00" + "0005" + "02" + "0014" + "5015")
  }

  /// What releases before layers wrote, and read: a version that is one content.
  @Test func aSettledVersionHasTheFormatFromBeforeLayers() {
    let inode = Self.file(Version(Self.content(0, size: 5000)))
    #expect(inode.encoded.prefix(1) == [1] && inode.encoded.count == 60 + 1 + 80)
    var none = inode
    none.version = nil
    #expect(none.encoded.prefix(1) == [1] && none.encoded.count == 60 + 1)
  }

  /// Rows have at most 66,560 bytes (docs/FORMATS.md, "Frames").
  @Test func theLargestRowFits() throws {
    let full = [UInt8](repeating: 0x55, count: LayerIndex.rowBytes).count / 2 - 1
    let extents = (0..<UInt64(full)).map { LayerExtent($0 * 2..<$0 * 2 + 1) }
    #expect(LayerIndex.encoded(extents).count <= LayerIndex.rowBytes)
    let layers = (0..<UInt64(Version.layersLimit)).map {
      Self.layer($0, extents, cut: 1000, size: 1000)
    }
    let version = Version(
      id: .random(), base: Self.content(0, size: 5), layers: layers, md5: .of([1]))
    let bytes = Self.file(version).encoded
    #expect(bytes.count <= 66_560 && bytes.count > 40_000)
    #expect(try Inode(id: InodeID(258), row: bytes).version == version)
  }

  // MARK: Damage

  @Test func truncatedRowsAreDamaged() {
    for inode in Self.inodes.dropLast() {
      let bytes = inode.encoded
      for count in 0..<bytes.count {
        #expect(throws: DFSError.self) { try Inode(id: inode.id, row: Array(bytes.prefix(count))) }
      }
      #expect(throws: DFSError.self) { try Inode(id: inode.id, row: bytes + [0]) }
    }
  }

  @Test func whatIsAcceptedIsWhatWouldBeWritten() {
    for inode in Self.inodes.dropLast() {
      let whole = inode.encoded
      for index in whole.indices {
        for flip in [UInt8(1), 0x80, 0xff] {
          var bytes = whole
          bytes[index] ^= flip
          guard let other = try? Inode(id: inode.id, row: bytes) else { continue }
          if other.encoded != bytes { Issue.record("byte \(index) of \(whole.count), \(flip)") }
          _ = (other.size, other.version?.storedBytes, other.version?.isSettled)
        }
      }
    }
  }

  @Test func garbageNeverTraps() {
    var random = SplitMix64(seed: 3)
    let heads = Self.inodes.dropLast().map(\.encoded)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = random.pick(heads)
      if random.chance(50) { bytes = Array(bytes.prefix(60 + random.below(bytes.count - 60))) }
      for _ in 0..<1 + random.below(6) {
        let index = random.chance(80) ? 60 + random.below(bytes.count - 60) : random.below(60)
        guard bytes.indices.contains(index) else { continue }
        bytes[index] = UInt8(truncatingIfNeeded: random.next())
      }
      if random.chance(20) { bytes += (0..<random.below(300)).map { _ in UInt8(random.below(4)) } }
      do {
        let inode = try Inode(id: InodeID(5), row: bytes)
        accepted += 1
        if inode.encoded != bytes { Issue.record("\(bytes.hexadecimal)") }
      } catch {
        #expect(error.code == .damaged)
      }
    }
    #expect(accepted > 100)
  }

  /// Where fields are in a row without MD5 and base: behind 60 bytes that all files have.
  private enum Place {
    static let md5Flag = 76
    static let baseFlag = 77
    static let count = 78
    static let contentBytes = 104
    static let cut = 168
    static let size = 176
    static let index = 184
    static let indexBytes = 185
  }

  private func refuses(
    _ version: Version, at place: Int, _ bytes: [UInt8], _ line: SourceLocation = #_sourceLocation
  ) {
    var row = Self.file(version).encoded
    #expect((try? Inode(id: InodeID(258), row: row)) != nil, sourceLocation: line)
    row.replaceSubrange(place..<place + bytes.count, with: bytes)
    do {
      let inode = try Inode(id: InodeID(258), row: row)
      Issue.record("\(inode)", sourceLocation: line)
    } catch {
      #expect(error.code == .damaged, sourceLocation: line)
    }
  }

  @Test func fieldsOutOfTheirLimitsAreDamaged() {
    let id = VersionID(high: 5, low: 6)
    let inRow = Version(id: id, base: nil, layers: [Self.layers[0]])
    let inContent = Version(id: id, base: nil, layers: [Self.layers[2]])
    for version in [inRow, inContent] {
      refuses(version, at: 0, [3])
      refuses(version, at: Place.md5Flag, [2])
      refuses(version, at: Place.baseFlag, [2])
      refuses(version, at: Place.count, [0, 0])
      refuses(version, at: Place.count, [0, 2])
      refuses(version, at: Place.contentBytes, (Limits.fileBytes + 1).bigEndianBytes)
      // Cut behind the end; too large a file.
      refuses(version, at: Place.cut, ((1 << 41) as UInt64).bigEndianBytes)
      refuses(version, at: Place.cut, UInt64.max.bigEndianBytes)
      refuses(version, at: Place.size, (Limits.fileBytes + 1).bigEndianBytes)
      refuses(version, at: Place.index, [2])
    }
    // Extents behind the end of the file; other bytes than the content has; too long an index.
    refuses(inRow, at: Place.cut, ((99) as UInt64).bigEndianBytes + ((99) as UInt64).bigEndianBytes)
    refuses(inRow, at: Place.contentBytes, ((11) as UInt64).bigEndianBytes)
    refuses(inRow, at: Place.indexBytes, [0xff, 0xff])
    refuses(inRow, at: Place.indexBytes, [0, 4])
    // An index that is longer than the content, or than any may be.
    refuses(inContent, at: Place.indexBytes, (306 as UInt32).bigEndianBytes)
    let long = Layer(
      inode: InodeID(1), content: Self.content(1, size: 1 << 40), cut: 0, size: 0,
      index: .content(bytes: 16 << 20))
    let limit = UInt32(LayerIndex.bytesLimit) + 1
    refuses(Version(id: id, base: nil, layers: [long]), at: Place.indexBytes, limit.bigEndianBytes)
  }

  @Test func tooManyLayersAreDamaged() {
    let many = (0...UInt64(Version.layersLimit)).map {
      Self.layer($0, [LayerExtent(0..<1)], cut: 0, size: 1)
    }
    let inode = Self.file(Version(id: .random(), base: nil, layers: many))
    #expect(many.count == 121)
    #expect(throws: DFSError.self) { try Inode(id: inode.id, row: inode.encoded) }
  }
}

/// What a version says of itself.
@Suite struct VersionTests {
  private let base = InodeTests.version
  private let layer = VersionRowTests.layers[0]

  @Test func oneContentIsTheVersion() {
    let version = Version(base)
    #expect(version.id == base.id && version.size == base.size && version.md5 == base.md5)
    #expect(version.content == base && version.contents == [base] && version.isSettled)
    #expect(version.storedBytes == base.size)
  }

  @Test func layersAreNotSettledUnlessTheyAreOneWithAnMD5() {
    let id = VersionID(high: 5, low: 6)
    let both = Version(id: id, base: base, layers: [layer])
    #expect(both.id == id && both.size == layer.size && both.md5 == nil && both.content == nil)
    #expect(both.contents.map(\.id) == [base.id, layer.content.id] && !both.isSettled)
    #expect(both.storedBytes == base.size + 10)
    #expect(!Version(id: id, base: base, layers: [layer], md5: .of([1])).isSettled)
    #expect(!Version(id: id, base: nil, layers: [layer, layer], md5: .of([1])).isSettled)
    #expect(!Version(id: id, base: nil, layers: [layer]).isSettled)
    let sparse = Version(id: id, base: nil, layers: [layer], md5: .of([1]))
    #expect(sparse.isSettled && sparse.md5 == .of([1]))
  }

  @Test func madeOfOthersItIsTheSame() {
    let id = VersionID(high: 5, low: 6)
    let known = Version(id: id, base: base, layers: [layer, layer], md5: .of([1]))
    let merged = known.made(of: base, [layer])
    #expect(merged.id == id && merged.md5 == .of([1]) && merged.layers == [layer])
    let settled = known.made(of: base, [])
    #expect(settled == Version(base) && settled.md5 == base.md5)
  }
}
