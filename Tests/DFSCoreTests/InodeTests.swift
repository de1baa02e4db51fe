import Testing

@testable import DFSCore

/// The bytes of an inode's row.
@Suite struct InodeTests {
  static let version = Content(
    id: VersionID(high: 0x0102_0304_0506_0708, low: 9), size: 10_000, md5: MD5Digest.of([1, 2, 3]),
    placement: Placement(md5: MD5Digest.of([1, 2, 3])), serverList: 7,
    partDigests: (1...4).map { BlockChecksum($0) })

  static var inodes: [Inode] {
    FileKind.allCases.flatMap { kind -> [Inode] in
      var inode = Inode(
        id: InodeID(258), kind: kind, mode: 0o4755, owner: 1000, group: .max, links: 3,
        time: Timestamp(nanoseconds: -1), device: 0x0801, parent: .root,
        target: kind == .symlink ? Array("../über\u{0}".utf8) : [])
      inode.accessed = Timestamp(nanoseconds: .max)
      inode.modified = Timestamp(nanoseconds: .min)
      var full = inode
      full.version = Version(version)
      return kind == .regular ? [inode, full] : [inode]
    }
  }

  @Test(arguments: inodes) func roundTrips(_ inode: Inode) throws {
    let row = inode.row
    #expect(row.key == .inode(inode.id))
    #expect(row.value?.version == inode.version?.id)
    #expect(row.value?.child == nil)
    #expect(try Inode(id: inode.id, row: try #require(row.value).bytes) == inode)
  }

  @Test func goldenBytes() {
    let small = Inode(
      id: InodeID(258), kind: .symlink, mode: 0o777, owner: 1, group: 2,
      time: Timestamp(nanoseconds: 3), parent: .root, target: Array("ab".utf8))
    #expect(
      small.encoded.hexadecimal
        == "0103" + "000001ff" + "00000001" + "00000002" + "00000001" + "0000000000000003"
        + "0000000000000003" + "0000000000000003" + "0000000000000000" + "0000000000000001"
        + "0002" + "6162" + "00")
    var file = Inode(
      id: InodeID(258), kind: .regular, mode: 0o644, owner: 0, group: 0,
      time: Timestamp(nanoseconds: 0), version: Version(Self.version))
    file.parent = InodeID(2)
    #expect(
      file.encoded.hexadecimal
        == "0101" + "000001a4" + "00000000" + "00000000" + "00000001"
        + String(repeating: "0", count: 64) + "0000000000000002" + "0000" + "01"
        + "01020304050607080000000000000009" + "0000000000002710"
        + "5289df737df57326fcdd22597afb1fac" + "00000007"
        + "090000000000000001" + "030000000000000002" + "060000000000000003"
        + "0c0000000000000004")
  }

  @Test(arguments: inodes) func truncatedRowsAreDamaged(_ inode: Inode) {
    let bytes = inode.encoded
    for count in 0..<bytes.count {
      #expect(throws: DFSError.self) { try Inode(id: inode.id, row: Array(bytes.prefix(count))) }
    }
    #expect(throws: DFSError.self) { try Inode(id: inode.id, row: bytes + [0]) }
  }

  @Test func whatIsAcceptedIsWhatWouldBeWritten() {
    // Every change of every byte: refused, or read as another inode that has exactly these bytes.
    for inode in Self.inodes {
      for index in inode.encoded.indices {
        for flip in [UInt8(1), 0x80, 0xff] {
          var bytes = inode.encoded
          bytes[index] ^= flip
          guard let other = try? Inode(id: inode.id, row: bytes) else { continue }
          #expect(other.encoded == bytes)
          _ = (other.modified.seconds, other.modified.fraction, other.size, "\(other)")
        }
      }
    }
  }

  @Test func garbageNeverTraps() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5_000 {
      let count = Int.random(in: 0...300, using: &random)
      var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      if count > 1 { (bytes[0], bytes[1]) = (1, UInt8.random(in: 0...8, using: &random)) }
      do {
        let inode = try Inode(id: InodeID(5), row: bytes)
        #expect(inode.encoded == bytes)
      } catch {
        #expect(error.code == .damaged)
      }
    }
  }

  @Test func sizes() {
    #expect(Self.inodes.first { $0.version != nil }?.size == 10_000)
    #expect(Self.inodes.first { $0.kind == .regular && $0.version == nil }?.size == 0)
    #expect(Self.inodes.first { $0.kind == .symlink }?.size == 9)
    #expect(Self.inodes.first { $0.kind == .directory }?.size == 4096)
    #expect(Self.inodes.first { $0.kind == .fifo }?.size == 0)
  }

  @Test func onlyPermissionBitsAreKept() {
    let inode = Inode(
      id: .root, kind: .directory, mode: 0o40755, owner: 0, group: 0,
      time: Timestamp(nanoseconds: 0))
    #expect(inode.mode == 0o755)
    #expect(inode.parent == .root)
  }
}
