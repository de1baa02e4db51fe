import DFSClient
import DFSCore
import DFSMount
import DFSSystem
import Foundation
import Testing

extension OnAMount {
  /// What cannot be stored is kept, within a limit, and its file gets it back.
  @Suite struct Keeping {
    private func until(_ condition: () throws -> Bool) async throws {
      let end = ContinuousClock.now + .seconds(10)
      while try !condition() {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(20))
      }
    }

    /// Many may be kept in one second, whose identifiers then differ in 16 random bits.
    @Test func anIdentifierThatIsTakenIsLeftToItsFile() throws {
      let cache = NSTemporaryDirectory() + "dfs-keep-\(VersionID.random())"
      try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: cache) }
      let keeping = KeptFiles(cache: cache, limit: 1 << 20)
      let inode = Inode(
        id: InodeID(7), kind: .regular, mode: 0o644, owner: 0, group: 0, time: .now)
      var file = KeptFile(
        owner: "a@default", namespace: nil, path: "a", parent: .root, name: try FileName("a"),
        inode,
        size: 1, modified: .now, kept: .now, reason: "a test")
      func keep(_ text: String) throws -> KeptFile {
        try keeping.keep(file) { path throws(DFSError) in
          let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
          guard descriptor >= 0 else { throw DFSError(.exists, path) }
          _ = write(descriptor, text, text.utf8.count)
          close(descriptor)
        }
      }
      let first = try keep("1")
      #expect(first.id == file.id)
      let second = try keep("2")
      #expect(second.id != first.id)
      #expect(try String(contentsOfFile: keeping.dataPath(of: first), encoding: .utf8) == "1")
      #expect(try String(contentsOfFile: keeping.dataPath(of: second), encoding: .utf8) == "2")
      #expect(try Set(keeping.list().map(\.id)) == [first.id, second.id])
      // What cannot be written leaves nothing of its own, and all of the others.
      file.id = "1-full"
      #expect(throws: DFSError.self) {
        _ = try keeping.keep(file) { path throws(DFSError) in
          _ = FileManager.default.createFile(atPath: path, contents: nil)
          throw DFSError(.noSpace, "a test")
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: keeping.directory).count == 4)
    }

    @Test(.needsFuse) func whatCannotBeStoredIsKept() async throws {
      try await Mounted.run(configure: { $0.spoolBytes = 6 << 20 }) { mounted in
        try await mounted.succeed(
          """
          mkdir $M/$'d\\xff'; echo old > $M/$'d\\xff'/small; echo old > $M/changed
          head -c 3000000 /dev/urandom > $LOCAL/large; head -c 4000 /dev/urandom > $LOCAL/small
          """)
        mounted.files.set { $0.refusal = DFSError(.serversMissing, "DFS2 and DFS3 are away") }
        try await mounted.fail("cp $LOCAL/small $M/$'d\\xff'/small")
        try await mounted.fail("cp $LOCAL/large $M/large")
        try await mounted.fail("touch $M/empty")
        let keeping = KeptFiles(cache: mounted.directory + "/cache1", limit: 6 << 20)
        // It is kept when the last descriptor is let go, a little after its close returned.
        try await until { try keeping.list().count == 2 }
        let kept = try keeping.list()
        #expect(
          kept.map(\.path) == [
            ByteText.text(of: Array("d".utf8) + [0xff] + Array("/small".utf8)), "large",
          ])
        #expect(kept.allSatisfy { $0.owner == "memory" && $0.reason.contains("DFS2 and DFS3") })
        for file in kept {
          let name = String(decoding: file.name, as: UTF8.self)
          #expect(
            FileManager.default.contents(atPath: keeping.dataPath(of: file))
              == FileManager.default.contents(atPath: mounted.directory + "/local/" + name))
        }
        // The limit: both together would be more than 6 MiB.
        try await mounted.fail("cat $LOCAL/large $LOCAL/large $LOCAL/small > $M/more", seconds: 20)
        try await until { mounted.log.text.contains("'more', 6004000 bytes, is lost") }
        #expect(try keeping.list().count == 2)
        mounted.files.set { $0.refusal = nil }
        let small = try #require(kept.first)
        let bytes = [UInt8](
          try #require(FileManager.default.contents(atPath: keeping.dataPath(of: small))))
        let restored = try await keeping.restore(
          small, BytesContent(bytes), on: MemoryClient(mounted.files), date: "now", progress: nil)
        #expect(!restored.isBeside)
        try keeping.remove(small)
        #expect(try keeping.list().count == 1)
        try await mounted.succeed(
          "cmp $M/$'d\\xff'/small $LOCAL/small; [ $(cat $M/changed) = old ]")
      }
    }
  }
}
