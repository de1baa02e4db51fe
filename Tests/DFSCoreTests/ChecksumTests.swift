import Testing

@testable import DFSCore

@Suite struct ChecksumTests {
  private static func name(_ text: String) throws -> FileName { try FileName(text) }

  @Test func knownValues() {
    #expect(BlockChecksum.of([]).value == 0x2d06_8005_38d3_94c2)
    #expect(BlockChecksum.of(Array("abc".utf8)).value == 0x78af_5f94_892f_3950)
    #expect(MD5Digest.of(Array("abc".utf8)).description == "900150983cd24fb0d6963f7d28e17f72")
  }

  @Test func md5InPieces() {
    let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    for size in [1, 63, 64, 65, 4_096, 99_999] {
      var hasher = MD5Hasher()
      for start in stride(from: 0, to: content.count, by: size) {
        content[start..<min(start + size, content.count)].withUnsafeBytes { hasher.update($0) }
        _ = hasher.finish()
      }
      #expect(hasher.count == 100_000)
      #expect(hasher.finish() == MD5Digest.of(content))
    }
  }

  @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 200_000]) func blocks(_ count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let blocks = bytes.withUnsafeBytes { BlockChecksum.blocks(of: $0) }
    #expect(blocks.count == (count + Limits.blockBytes - 1) / Limits.blockBytes)
    for (index, block) in blocks.enumerated() {
      let start = index * Limits.blockBytes
      let end = min(start + Limits.blockBytes, count)
      #expect(block == BlockChecksum.of(Array(bytes[start..<end])))
    }
  }

  @Test func theDigestOfAPartDependsOnTheOrderOfItsBlocks() {
    let one = BlockChecksum(1)
    let two = BlockChecksum(2)
    #expect(BlockChecksum.digest(of: [one, two]) != BlockChecksum.digest(of: [two, one]))
    #expect(BlockChecksum.digest(of: []) == BlockChecksum.of([]))
  }

  @Test(arguments: [0, 1, 2, 31, 32, 33, 5000]) func theDigestOfAPartInPieces(_ count: Int) {
    let blocks = (0..<count).map { BlockChecksum(UInt64($0) &* 0x9e37_79b9_7f4a_7c15) }
    for size in [1, 16, 1000] {
      let digester = PartDigester()
      for start in stride(from: 0, to: count, by: size) {
        digester.update(Array(blocks[start..<min(start + size, count)]))
        _ = digester.digest
      }
      #expect(digester.digest == BlockChecksum.digest(of: blocks))
    }
  }

  private static func rows() throws -> [Row] {
    let value = RowValue(bytes: [1, 2, 3])
    return [
      Row(key: .inode(InodeID(1)), change: 1, value: value),
      Row(key: .inode(InodeID(2)), change: 1, value: value),
      Row(key: .inode(InodeID(1)), change: 2, value: value),
      Row(key: .inode(InodeID(1)), change: 1, value: RowValue(bytes: [])),
      Row(
        key: .inode(InodeID(1)), change: 1,
        value: RowValue(
          bytes: [], content: RowContent(version: VersionID(high: 0, low: 0), copies: 0))),
      Row(
        key: .inode(InodeID(1)), change: 1,
        value: RowValue(bytes: Array(repeating: 0, count: 16))),
      Row(key: .attribute(InodeID(1), name: try AttributeName("a")), change: 1, value: value),
      Row(key: .entry(parent: InodeID(1), name: try name("a")), change: 1, value: value),
      Row(
        key: .entry(parent: InodeID(1), name: try name("a")), change: 1,
        value: RowValue(bytes: [1, 2, 3], child: InodeID(0))),
      Row(
        key: .entry(parent: InodeID(1), name: try name("ab")), change: 1,
        value: RowValue(bytes: [], child: InodeID(7))),
    ]
  }

  @Test func rowsThatDifferInAnythingHaveOtherDigests() throws {
    let rows = try Self.rows()
    #expect(Set(rows.map { $0.withDigestBytes { Array($0) } }).count == rows.count)
    #expect(Set(rows.map { RowDigest(of: $0) }).count == rows.count)
  }

  @Test func theOrderOfAddingAndRemovingDoesNotMatter() throws {
    let rows = try Self.rows()
    var sum = RowDigest.empty
    for row in rows { sum += RowDigest(of: row) }
    for _ in 0..<20 {
      var other = RowDigest.empty
      for row in rows.shuffled() { other += RowDigest(of: row) }
      #expect(other == sum)
      for row in rows.shuffled() { other -= RowDigest(of: row) }
      #expect(other == .empty)
    }
  }

  @Test func aRowTwiceIsNotNoRow() throws {
    let digest = RowDigest(of: try Self.rows()[0])
    var twice = digest
    twice += digest
    #expect(twice != .empty && twice != digest)
  }
}
