import DFSClient
import DFSCore
import DFSMount
import Foundation
import Testing

extension OnAMount {
  /// What cannot be stored is kept, within a bound, and its file gets it back.
  @Suite struct Keeping {
    private struct Data: ContentSource {
      let bytes: [UInt8]
      var size: UInt64 { UInt64(bytes.count) }
      var md5: MD5Digest? { nil }

      func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
      }
    }

    private func until(_ condition: () throws -> Bool) async throws {
      let end = ContinuousClock.now + .seconds(10)
      while try !condition() {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(20))
      }
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
        let keeping = KeptFiles(cache: mounted.directory + "/cache1", bound: 6 << 20)
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
        // The bound: both together would be more than 6 MiB.
        try await mounted.fail("cat $LOCAL/large $LOCAL/large $LOCAL/small > $M/more", seconds: 20)
        try await until { mounted.log.text.contains("'more', 6004000 bytes, is lost") }
        #expect(try keeping.list().count == 2)
        mounted.files.set { $0.refusal = nil }
        let small = try #require(kept.first)
        let bytes = [UInt8](
          try #require(FileManager.default.contents(atPath: keeping.dataPath(of: small))))
        let restored = try await keeping.restore(
          small, Data(bytes: bytes), on: MemoryClient(mounted.files), date: "now", progress: nil)
        #expect(!restored.isBeside)
        try keeping.remove(small)
        #expect(try keeping.list().count == 1)
        try await mounted.succeed(
          "cmp $M/$'d\\xff'/small $LOCAL/small; [ $(cat $M/changed) = old ]")
      }
    }
  }
}
