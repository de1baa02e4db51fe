import DFSCore
import Testing

/// The mission's rule: the table of docs/ARCHITECTURE.md, and what survives which losses.
@Suite struct PlacementTests {
  /// For each x, for each server the parts that it holds; copied from it.
  private static let table: [[[Int]]] = [
    [[1, 2], [2, 3], [3, 4], [4, 1]],
    [[4, 1], [1, 2], [2, 3], [3, 4]],
    [[3, 4], [4, 1], [1, 2], [2, 3]],
    [[2, 3], [3, 4], [4, 1], [1, 2]],
  ]

  private static func placement(x: Int) throws -> Placement {
    // The last byte decides; the others are anything.
    let bytes = Array(repeating: UInt8(0xa5), count: 15) + [UInt8(0xf0 + x)]
    return Placement(md5: try #require(MD5Digest(bytes: bytes)))
  }

  @Test(arguments: 0..<4) func isTheTableOfTheMission(x: Int) throws {
    let placement = try Self.placement(x: x)
    for server in ServerIndex.all {
      let expected = Set(Self.table[x][server.value])
      #expect(Set(placement.parts(on: server).map(\.number)) == expected, "x = \(x), \(server)")
    }
    for part in PartIndex.all { #expect(placement.holders(of: part).count == 2) }
  }

  @Test(arguments: 0..<4) func anyServerMayBeLost(x: Int) throws {
    let placement = try Self.placement(x: x)
    #expect(placement.missingParts(on: .all).isEmpty)
    for server in ServerIndex.all {
      let left = ServerSet.all.subtracting(ServerSet([server]))
      #expect(placement.missingParts(on: left).isEmpty)
    }
  }

  @Test(arguments: 0..<4) func ofThePairsExactlyTheOppositeOnesMayBeLost(x: Int) throws {
    let placement = try Self.placement(x: x)
    for one in 0..<4 {
      for other in one + 1..<4 {
        let left = ServerSet.all.subtracting(ServerSet([ServerIndex(one), ServerIndex(other)]))
        let missing = placement.missingParts(on: left)
        #expect(missing.isEmpty == (other - one == 2), "DFS\(one + 1) and DFS\(other + 1)")
        #expect(missing.count <= 1)
      }
    }
  }

  @Test(arguments: 0..<4) func oneServerAloneHasTwoParts(x: Int) throws {
    let placement = try Self.placement(x: x)
    for server in ServerIndex.all {
      #expect(placement.missingParts(on: ServerSet([server])).count == 2)
    }
    #expect(placement.missingParts(on: []) == PartIndex.all)
  }

  @Test func theDigestIsReadAsABigEndianInteger() {
    #expect(MD5Digest.of([]).description == "d41d8cd98f00b204e9800998ecf8427e")
    #expect(MD5Digest.of([]).modulo4 == 0x7e % 4)
    #expect(MD5Digest.of(Array("abc".utf8)).modulo4 == 0x72 % 4)
    for byte in UInt8(0)...255 {
      let digest = MD5Digest(bytes: Array(repeating: UInt8(3), count: 15) + [byte])
      #expect(digest?.modulo4 == Int(byte) % 4)
    }
  }

  @Test func setsOfServers() {
    #expect(ServerSet.all.count == 4)
    #expect(ServerSet(rawValue: 0xff) == .all)
    #expect(ServerSet([ServerIndex(0), ServerIndex(2)]).description == "DFS1, DFS3")
    var set = ServerSet()
    set.insert(ServerIndex(3))
    #expect(set.servers == [ServerIndex(3)] && set.contains(ServerIndex(3)))
    set.remove(ServerIndex(3))
    #expect(set == [])
  }
}
