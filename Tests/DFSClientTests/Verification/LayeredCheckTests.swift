import DFSCore
import DFSTestSupport
import Foundation
import Testing

@testable import DFSClient

/// Files that are a base and layers, read back from four real servers; and what dfc says of them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LayeredCheckTests {
  /// A base of 4 MiB, a large layer and a small one.
  private func edited(_ name: String, _ setting: ClientSetting) async throws -> Inode {
    var inode = try await setting.file(name, TestContent(size: 4 << 20))
    inode = try await setting.lay(TestContent(size: 1 << 20, seed: 3), at: 100_000, over: inode)
    return try await setting.lay(TestContent(size: 300, seed: 5), at: 2_000_000, over: inode)
  }

  private func check(_ inode: Inode, _ setting: ClientSetting) async throws -> FileCheck.Verdict {
    try #require(try await FileCheck(on: setting.client, everyCopy: true).run(inode))
  }

  @Test func everyContentIsRead() async throws {
    try await ClientSetting.run { setting in
      let inode = try await setting.scatter(
        TestContent(size: 0, seed: 7), length: 100, distance: 1000,
        over: try await edited("f", setting))
      let version = try #require(inode.version)
      #expect(version.layers.count == 3)
      let verdict = try await check(inode, setting)
      #expect(verdict.isGood, "\(verdict)")
      #expect(verdict.copies == 4 * 8 && verdict.copiesRead == 4 * 8)
      #expect(verdict.bytesRead == 2 * version.storedBytes)
      #expect(FileCheck.bytes(of: version, everyCopy: true) == 2 * version.storedBytes)
    }
  }

  @Test func damageIsFoundInTheContentThatHasIt() async throws {
    try await ClientSetting.run { setting in
      let inode = try await edited("f", setting)
      let version = try #require(inode.version)
      let base = try #require(version.base)
      let layer = version.layers[0].content
      let part = PartIndex(2)
      let (_, ofBase) = try setting.holders(of: part, base)
      let (first, second) = try setting.holders(of: part, layer)
      try setting.flip(part, of: base, on: ofBase, at: 70_000)
      try setting.flip(part, of: layer, on: first, at: 0)
      let verdict = try await check(inode, setting)
      #expect(verdict.isReadable)
      #expect(verdict.bad.map(\.place) == [.base, .layer(1)])
      #expect(verdict.bad.map(\.server) == [ofBase, first])
      #expect(verdict.bad.map(\.offset) == [(2 << 20) + 65_536, 512 << 10])
      try setting.delete(part, of: layer, on: second)
      let lost = try await check(inode, setting)
      #expect(lost.lostParts == [part] && !lost.isReadable)

      let text = try setting.dfc("verify", "--all")
      #expect(text.status == 4, "\(text)")
      let lines = [
        "f: part 3 of the base on \(ofBase) is damaged from byte 2162688 of the base, 65536 bytes: ",
        "f: part 3 of layer 1 on \(first) is damaged from byte 524288 of the layer, 65536 bytes: ",
        "f: part 3 of layer 1 on \(second) is missing: ",
      ]
      for line in lines {
        #expect(text.output.contains("\n" + line) || text.output.hasPrefix(line), "\(text)")
      }
      let json = try setting.dfc("verify", "--all", "--json").output
      #expect(json.contains("\"content\":\"layer\"") && json.contains("\"layer\":1"), "\(json)")
      #expect(json.contains("\"content\":\"base\""), "\(json)")
    }
  }

  /// The copies are what was stored, but no index: such a row can only come from a client that erred.
  @Test func anIndexThatIsNoneIsFound() async throws {
    try await ClientSetting.run { setting in
      let content = try await setting.put("other", TestContent(size: 200_000))
      var inode = try await setting.file("f", TestContent(size: 400_000))
      let layer = Layer(
        inode: InodeID(1 << 40), content: content, cut: 400_000, size: 400_000,
        index: .content(bytes: 1000))
      inode.version = Version(id: VersionID.random(), base: inode.content, layers: [layer])
      let file = inode
      try await setting.client.namespace.transact { $0.put(file) }
      let verdict = try await check(file, setting)
      #expect(verdict.bad.isEmpty && !verdict.isReadable)
      #expect(verdict.wrong.map(\.place) == [.layer(1)])
      guard case .index(let error) = verdict.wrong.first?.problem else {
        Issue.record("\(verdict)")
        return
      }
      #expect(error.code == .damaged)
    }
  }

  // MARK: What dfc says

  @Test func whereShowsTheBaseAndTheLayers() async throws {
    try await ClientSetting.run { setting in
      let inode = try await edited("f", setting)
      let version = try #require(inode.version)
      let base = try #require(version.base)
      let part = PartIndex(1)
      let (first, _) = try setting.holders(of: part, version.layers[0].content)
      try setting.delete(part, of: version.layers[0].content, on: first)
      // The server notices that when it is asked for the bytes.
      _ = try await check(inode, setting)
      let text = try setting.dfc("where", "f").output
      let lines = text.split(separator: "\n").map(String.init)
      #expect(lines.count == 3 + 5 + 3, "\(text)")
      #expect(lines[0] == "f: 4194304 bytes, MD5 not known yet")
      #expect(lines[1] == "  not settled: 2 layers, \((1 << 20) + 300) bytes")
      #expect(
        lines[2] == "  base: 4194304 bytes, MD5 \(base.md5), x = \(base.md5.modulo4)")
      #expect(lines[3].hasPrefix("  part           bytes    DFS1  DFS2"))
      #expect(lines[8].hasPrefix("  layer          bytes    DFS1        DFS2"))
      #expect(lines[9].hasPrefix("  1            1048576    "))
      #expect(lines[10].hasPrefix("  2                300    "))
      let parts = version.layers[1].content.placement.parts(on: ServerIndex(0))
      let cell = parts.map(\.description).joined(separator: ",")
      #expect(lines[10].hasPrefix("  2                300    \(cell)    "))

      let json = try object(try setting.dfc("where", "--json", "f").output)
      #expect(json["settled"] as? Bool == false && json["md5"] == nil)
      let layers = try #require(json["layers"] as? [[String: Any]])
      #expect(layers.map { $0["bytes"] as? Int } == [1 << 20, 300])
      #expect((layers[1]["parts"] as? [[String: Any]])?.count == 4)
    }
  }

  @Test func getAndListSayThatTheMD5IsNotKnown() async throws {
    try await ClientSetting.run { setting in
      let inode = try await edited("f", setting)
      let got = setting.servers.directory + "/got"
      let json = try object(try setting.dfc("get", "--json", "f", got).output)
      #expect(json["settled"] as? Bool == false && json["md5"] == nil)
      var expected = try TestContent(size: 4 << 20).bytes(0..<4 << 20)
      expected.replaceSubrange(
        100_000..<100_000 + (1 << 20),
        with: try TestContent(size: 1 << 20, seed: 3).bytes(0..<1 << 20))
      expected.replaceSubrange(
        2_000_000..<2_000_300, with: try TestContent(size: 300, seed: 5).bytes(0..<300))
      let read = FileManager.default.contents(atPath: got).map { Array($0) }
      #expect(read == expected)
      let list = try setting.dfc("list", "--md5").output
      #expect(list == String(repeating: "-", count: 32) + "  f\n")
      let listed = try object(try setting.dfc("list", "--json").output)
      #expect(listed["settled"] as? Bool == false && listed["incomplete"] as? Bool == false)
      #expect(listed["size"] as? Int == Int(inode.size))
    }
  }

  @Test func whatNobodyWroteTakesNoSpaceHereEither() async throws {
    try await ClientSetting.run { setting in
      var inode = try await setting.file("f", TestContent(size: 1000))
      let bytes = try TestContent(size: 0, seed: 9).bytes(0..<70_000)
      let (start, size) = (UInt64(40 << 20), UInt64(64 << 20))
      inode = try await setting.lay(
        bytes, [LayerExtent(start..<start + 70_000)], cut: 1000, size: size, over: inode)
      var expected = try TestContent(size: 1000).bytes(0..<1000)
      expected += [UInt8](repeating: 0, count: Int(size) - 1000)
      expected.replaceSubrange(Int(start)..<Int(start) + 70_000, with: bytes)
      for words in [["get"], ["get", "--partial"]] {
        let place = "\(setting.servers.directory)/got\(words.count)"
        let got = try setting.dfc(words + ["f", place])
        #expect(got.status == 0, "\(got)")
        #expect(FileManager.default.contents(atPath: place).map { [UInt8]($0) } == expected)
        var status = stat()
        #expect(stat(place, &status) == 0 && status.st_blocks * 512 < 4 << 20)
      }
    }
  }

  @Test func aLayerThatIsNowhereMakesAFileIncomplete() async throws {
    try await ClientSetting.run { setting in
      let inode = try await edited("f", setting)
      let layer = try #require(inode.version?.layers.first).content
      let part = PartIndex(0)
      let (first, second) = try setting.holders(of: part, layer)
      for server in [first, second] { try setting.delete(part, of: layer, on: server) }
      _ = try await check(inode, setting)
      #expect(try setting.dfc("list").output == "f [incomplete]\n")
      let partial = try setting.dfc(
        "get", "--partial", "--json", "f", setting.servers.directory + "/got")
      #expect(partial.status == 4, "\(partial)")
      let end = 100_000 + (1 << 18)
      #expect(
        partial.errors.contains("  part 1 of layer 1, bytes 100000 to \(end - 1) (262144): "),
        "\(partial)")
      let json = try object(partial.output)
      let missing = try #require((json["missing"] as? [[String: Any]])?.first)
      #expect(missing["layer"] as? Int == 1 && missing["part"] as? Int == 1)
      #expect(missing["servers"] as? [String] == [first, second].sorted().map(\.description))
      for server in [first, second] { try await setting.kill(server) }
      let get = try setting.dfc("get", "f", setting.servers.directory + "/got")
      #expect(get.status == 4, "\(get)")
      #expect(get.errors.contains("File is incomplete. Missing: part "))
      #expect(get.errors.contains("part 1 of layer 1 ("), "\(get)")
    }
  }

  private func object(_ output: String) throws -> [String: Any] {
    let line = try #require(output.split(separator: "\n").first, "nothing was printed")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }
}
