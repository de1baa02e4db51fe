import DFSCore
import DFSStoreFixtures
import Foundation
import Testing

@testable import DFSRescue

/// Rebuilding files that are a base and layers.
@Suite struct LayeredRescueTests {
  private let place = RescuePlace()

  @Test func aFileOfManyLayersComesBackFromOppositeDirectories() async throws {
    let file = LayeredFile.random(layers: 40)
    #expect(file.layers.contains { $0.dataStart > 0 })
    try await place.fill(file)
    for servers in [[0, 2], [1, 3], [0, 1, 2, 3]] {
      let summary = try place.rescue(servers)
      #expect(place.events.isEmpty)
      #expect(summary.isComplete && summary.files == 1 && summary.nameless == 0)
      #expect(summary.hardLinks == 0 && summary.directories == 0)
      #expect(summary.bytes == UInt64(file.bytes.count))
      #expect(place.rebuilt(file.name) == file.bytes)
      #expect(place.names == [file.name])
    }
  }

  /// The row of a layer is no file, and the list of what is not settled gives no names.
  @Test func aFileWithoutANameIsOneFile() async throws {
    let file = LayeredFile.random(layers: 3)
    try await place.fill(file, isNamed: false)
    let summary = try place.rescue([0, 2])
    #expect(summary.nameless == 1 && summary.files == 1)
    #expect(place.rebuilt("lost+found/\(LayeredFile.inode)") == file.bytes)
  }

  /// A file with holes has no base, and the MD5 of all of it.
  @Test func aFileWithHolesIsComparedWithItsMD5() async throws {
    var file = LayeredFile("holes", base: nil)
    file.write([LayerExtent(1_000_000..<1_200_000), LayerExtent(3_000_000..<3_000_001)])
    try await place.fill(file, md5: MD5Digest.of(file.bytes))
    #expect(try place.rescue([0, 2]).isComplete)
    #expect(place.rebuilt("holes") == file.bytes)
  }

  @Test func anotherMD5OfTheWholeIsALoss() async throws {
    var file = LayeredFile("holes", base: nil)
    file.write([LayerExtent(100..<200)])
    try await place.fill(file, md5: MD5Digest.of([1]))
    #expect(try place.rescue([0, 2]).incomplete == 1)
    #expect(place.losses.first?.reason.contains("MD5 is not \(MD5Digest.of([1]))") == true)
    #expect(place.rebuilt("holes") == nil)
  }

  @Test func aPartOfALayerThatIsMissingIsZeros() async throws {
    var file = LayeredFile("f", base: Fixture.bytes(600_000))
    file.write([LayerExtent(100_000..<400_000)])
    file.write([LayerExtent(180_000..<180_100)])
    try await place.fill(file)
    let part = PartIndex(1)
    try place.remove(part, of: file.layers[0].content)
    #expect(try place.rescue([0, 1, 2, 3]).incomplete == 1)
    #expect(place.rebuilt("f") == nil)
    #expect(place.losses.first?.missingParts == [part])
    #expect(place.losses.first?.reason.contains("part 2 of layer 1") == true)
    let newest = file.bytes[180_000..<180_100]
    file.clear(file.range(of: part, layer: 0))
    var expected = file.bytes
    expected.replaceSubrange(180_000..<180_100, with: newest)
    let summary = try place.rescue([0, 1, 2, 3], keepsPartial: true)
    #expect(summary.incomplete == 1 && summary.files == 0)
    #expect(place.losses.first?.reason.contains("zeros stand there") == true)
    #expect(place.rebuilt("f") == expected)
  }

  @Test func aPartOfTheBaseThatIsMissingIsCoveredByLayers() async throws {
    var file = LayeredFile("f", base: Fixture.bytes(600_000))
    let part = PartIndex(2)
    let lost = file.base.map { $0.split.range(of: part) } ?? 0..<0
    file.write([LayerExtent(lost.lowerBound + 10..<lost.upperBound - 10)])
    try await place.fill(file)
    try place.remove(part, of: try #require(file.base))
    try place.rescue([0, 2], keepsPartial: true, isWhole: false)
    #expect(place.losses.first?.reason.hasPrefix("no good copy of part 3 of the base in") == true)
    for place in [lost.lowerBound, lost.upperBound - 10] {
      file.clear(Int(place)..<Int(place) + 10)
    }
    #expect(place.rebuilt("f") == file.bytes)
  }

  /// Nobody knows where its bytes belong: all is as it was before, in the size of the file.
  @Test func aLayerWithoutItsIndexIsNotPlaced() async throws {
    var file = LayeredFile("f", base: Fixture.bytes(600_000))
    let below = file.bytes
    file.write((0..<200).map { LayerExtent($0 * 1000..<$0 * 1000 + 999) }, cut: 550_000)
    #expect(file.layers[0].dataStart > 0)
    try await place.fill(file)
    try place.remove(PartIndex(0), of: file.layers[0].content)
    try place.rescue([0, 2], keepsPartial: true, isWhole: false)
    let reason = try #require(place.losses.first?.reason)
    #expect(reason.contains("part 1 of layer 1 in these directories"))
    #expect(reason.contains("where the bytes of layer 1 belong is not known"))
    #expect(place.rebuilt("f") == Array(below.prefix(550_000)))
  }

  /// Every copy is good, but what was stored is no index.
  @Test func anIndexThatIsNoneIsALoss() async throws {
    var file = LayeredFile("f", base: Fixture.bytes(5000))
    file.add(Fixture.bytes(800), [], cut: 5000, size: 5000, .content(bytes: 300))
    try await place.fill(file)
    try place.rescue([0, 2], keepsPartial: true, isWhole: false)
    let reason = try #require(place.losses.first?.reason)
    #expect(reason.hasPrefix("where the bytes of layer 1 belong is not known ("))
    #expect(place.rebuilt("f") == file.bytes)
  }
}

extension RescuePlace {
  /// The names in the output.
  fileprivate var names: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
  }

  fileprivate func rescue(_ servers: [Int], keepsPartial: Bool, isWhole: Bool) throws {
    #expect(try rescue(servers, keepsPartial: keepsPartial).isComplete == isWhole)
  }
}
