import DFSClient
import DFSCore
import DFSMount
import DFSSystem
import DFSTestSupport
import Foundation
import Synchronization
import Testing

extension OnAMount {
  /// A stored file that is changed without its content being fetched; and what becomes of what was written
  /// if the rest cannot be fetched in the end.
  @Suite struct FirstWrites {
    /// Changes files `f0`, `f1`, …, and closes them when it is told to.
    private static let script = """
      import ctypes, os, time
      os.closerange(3, 256)  # of who waits for this test's shell
      M, LOCAL = os.environ["M"], os.environ["LOCAL"]
      def allocate(fd, mode, offset, count):
          assert ctypes.CDLL(None).fallocate(
              fd, mode, ctypes.c_long(offset), ctypes.c_long(count)) == 0
      changes = [
          lambda fd: os.pwrite(fd, b"x", 2000000),
          lambda fd: (os.lseek(fd, 0, os.SEEK_END), os.write(fd, b"end")),
          lambda fd: (os.ftruncate(fd, 1000), os.ftruncate(fd, 70000)),
          lambda fd: os.ftruncate(fd, 4000000),
          lambda fd: allocate(fd, 0, 2999999, 100),
          lambda fd: allocate(fd, 3, 4096, 40960),
          lambda fd: allocate(fd, 16, 5000, 40960),
          lambda fd: (os.pwrite(fd, b"one", 70), os.pwrite(fd, b"two", 71)),
      ]
      for where in (LOCAL, M):
          fds = [os.open(f"{where}/f{i}", os.O_RDWR) for i in range(len(changes))]
          for change, fd in zip(changes, fds): change(fd)
          if where == LOCAL: continue
          open(LOCAL + "/written", "w").close()
          end = time.monotonic() + 50
          while not os.path.exists(LOCAL + "/go"):
              assert time.monotonic() < end
              time.sleep(0.01)
      """

    @Test(.needsFuse) func nothingIsFetched() async throws {
      let files = MemoryFiles()
      try await Mounted.run(files) { mounted in
        try await mounted.succeed(
          "for i in {0..7}; do head -c 3000000 /dev/urandom > $LOCAL/f$i; cp $LOCAL/f$i $M/f$i; done"
        )
        try Self.script.write(
          toFile: mounted.directory + "/local/change.py", atomically: true, encoding: .utf8)
        let before = files.state.withLock { $0.reads }
        try await mounted.succeed(
          """
          python3 $LOCAL/change.py > $LOCAL/said 2>&1 & echo $! > $LOCAL/writer
          for i in $(seq 1000); do [ -e $LOCAL/written ] && exit 0; sleep 0.01; done
          cat $LOCAL/said; exit 1
          """)
        #expect(files.state.withLock { $0.reads } == before)
        try await mounted.succeed(
          """
          touch $LOCAL/go
          for i in $(seq 1000); do [ -e /proc/$(cat $LOCAL/writer) ] || break; sleep 0.01; done
          cat $LOCAL/said; [ ! -s $LOCAL/said ]
          for i in {0..7}; do cmp $LOCAL/f$i $M/f$i; done
          """)
      }
    }

    /// Two handles, one of which reads what the other writes, of a file that is stored in between.
    @Test(.needsFuse) func handlesOfOneFileSeeOneContent() async throws {
      try await Mounted.run(configure: { $0.spoolBytes = 1 << 20 }) { mounted in
        try store(mounted)
        try await mounted.succeed(
          """
          cat > $LOCAL/two.py <<'END'
          import mmap, os
          content = bytearray(open(os.environ["LOCAL"] + "/f", "rb").read())
          path = os.environ["M"] + "/f"
          a, b = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
          for i in range(20):
              at = i * 149993
              os.pwrite(a if i % 2 else b, b"%08d" % i, at)
              content[at:at + 8] = b"%08d" % i
              assert os.pread(b if i % 2 else a, 100, max(0, at - 50)) == content[max(0, at - 50):][:100]
              if i % 5 == 4: os.fsync(a)
          with mmap.mmap(a, 3000000) as mapped:
              mapped[1234567:1234570] = b"map"
          content[1234567:1234570] = b"map"
          os.close(a)
          assert os.pread(b, 3000000, 0) == content
          os.close(b)
          assert open(path, "rb").read() == content
          END
          python3 $LOCAL/two.py
          """)
      }
    }

    /// What is removed while it is written has the bytes of the version that was opened.
    @Test(.needsFuse) func whatIsRemovedIsReadAsBefore() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try store(mounted)
        try await mounted.succeed(
          """
          cp $M/f $M/g
          cat > $LOCAL/removed.py <<'END'
          import os
          M, M2 = os.environ["M"], os.environ["M2"]
          content = bytearray(open(os.environ["LOCAL"] + "/f", "rb").read())
          own, others = os.open(M + "/f", os.O_RDWR), os.open(M + "/g", os.O_RDWR)
          for fd in (own, others): os.pwrite(fd, b"written", 1000000)
          content[1000000:1000007] = b"written"
          os.remove(M + "/f")
          os.remove(M2 + "/g")
          for fd in (own, others):
              assert os.pread(fd, 4000000, 0) == content
              os.ftruncate(fd, 2900000)
          os.close(own)
          os.close(others)
          kept = os.listdir(M)
          assert len(kept) == 1 and kept[0].startswith("g (conflict"), kept
          assert open(M + "/" + kept[0], "rb").read() == content[:2900000]
          END
          python3 $LOCAL/removed.py
          """)
        try await eventually("nothing is held") {
          mounted.files.state.withLock { $0.holds.isEmpty }
        }
      }
    }

    // MARK: What cannot be stored

    private func keeping(_ mounted: Mounted) -> KeptFiles {
      KeptFiles(cache: mounted.directory + "/cache1", limit: 100 << 20)
    }

    private func kept(_ mounted: Mounted) async throws -> KeptFile {
      let keeping = keeping(mounted)
      try await eventually("something is kept") { try !keeping.list().isEmpty }
      return try #require(keeping.list().first)
    }

    private func data(of file: KeptFile, _ mounted: Mounted) throws -> [UInt8] {
      [UInt8](
        try #require(FileManager.default.contents(atPath: keeping(mounted).dataPath(of: file))))
    }

    private func content(_ path: String) throws -> [UInt8] {
      [UInt8](try #require(FileManager.default.contents(atPath: path)))
    }

    /// Another client stores a file, whatever room the mount's spool has.
    private func store(_ mounted: Mounted) throws {
      let random = try #require(FileHandle(forReadingAtPath: "/dev/urandom"))
      let bytes = random.readData(ofLength: 3_000_000)
      try bytes.write(to: URL(fileURLWithPath: mounted.directory + "/local/f"))
      let name = try FileName("f")
      mounted.files.set { $0.replace(name, by: [UInt8](bytes)) }
    }

    private func prepare(_ mounted: Mounted) async throws {
      try store(mounted)
      try await mounted.succeed(
        """
        head -c 5000 /dev/urandom > $LOCAL/new
        cp $LOCAL/f $LOCAL/whole; dd if=$LOCAL/new of=$LOCAL/whole bs=1000 seek=1000 conv=notrunc status=none
        """)
    }

    private static let overwrite =
      "dd if=$LOCAL/new of=$M/f bs=1000 seek=1000 conv=notrunc status=none"

    @Test(.needsFuse) func whatIsKeptIsWholeIfTheRestCanBeRead() async throws {
      try await Mounted.run { mounted in
        try await prepare(mounted)
        mounted.files.set { $0.refusal = DFSError(.serversMissing, "DFS2 and DFS3 are away") }
        try await mounted.fail(Self.overwrite)
        let kept = try await kept(mounted)
        #expect(kept.missing == nil)
        #expect(try data(of: kept, mounted) == content(mounted.directory + "/local/whole"))
      }
    }

    @Test(.needsFuse) func whatWasWrittenIsKeptIfTheRestCannotBeRead() async throws {
      try await Mounted.run { mounted in
        try await prepare(mounted)
        let client = MemoryClient(mounted.files)
        let before = try await client.lookup(.root, FileName("f"), .current)
        mounted.files.set {
          $0.readRefusal = DFSError(.incomplete, "DFS2 and DFS3 are down")
          $0.refusal = $0.readRefusal
        }
        #expect(try await mounted.fail(Self.overwrite).contains("Input/output error"))
        let kept = try await kept(mounted)
        #expect(kept.missing == [[0, 1_000_000], [1_005_000, 3_000_000]])
        let record = keeping(mounted).directory + "/\(kept.id).partial.json"
        #expect(
          FileManager.default.fileExists(atPath: record), "older programs take it for no whole one")
        #expect(kept.missingBytes == 2_995_000 && kept.size == 3_000_000)
        let bytes = try data(of: kept, mounted)
        #expect(bytes.count == 3_000_000)
        #expect(
          try Array(bytes[1_000_000..<1_005_000]) == content(mounted.directory + "/local/new"))
        for line in [
          "could not store 'f', 3000000 bytes: ",
          "what was written to 'f', 5000 of 3000000 bytes, is kept", "DFS2 and DFS3 are down",
          "the other 2995000 bytes of 'f' are only in the version before",
        ] {
          try await eventually(line) { mounted.log.text.contains(line) }
        }
        mounted.files.set { ($0.readRefusal, $0.refusal) = (nil, nil) }
        #expect(try await client.lookup(.root, FileName("f"), .current).version == before.version)
        try await mounted.succeed("cmp $M/f $LOCAL/f")
        let restored = try await keeping(mounted).restore(
          kept, BytesContent(bytes), on: client, date: "now", progress: nil)
        #expect(!restored.isBeside)
        try await mounted.succeed("cmp $M/f $LOCAL/whole")
        try keeping(mounted).remove(kept)
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: keeping(mounted).directory) == [])
      }
    }

    /// The file has another content by then: a mixture would be nobody's.
    @Test(.needsFuse) func whatLacksAVersionThatIsGoneIsNotMixedWithAnother() async throws {
      try await Mounted.run { mounted in
        try await prepare(mounted)
        mounted.files.set {
          $0.readRefusal = DFSError(.incomplete, "DFS2 and DFS3 are down")
          $0.refusal = $0.readRefusal
        }
        try await mounted.fail(Self.overwrite)
        let kept = try await kept(mounted)
        mounted.files.set { ($0.readRefusal, $0.refusal) = (nil, nil) }
        try await mounted.succeed("echo other > $M/f")
        let bytes = try data(of: kept, mounted)
        let client = MemoryClient(mounted.files)
        let error = await #expect(throws: DFSError.self) {
          try await keeping(mounted).restore(
            kept, BytesContent(bytes), on: client, date: "now", progress: nil)
        }
        #expect(error?.code == .incomplete)
        #expect(error?.message.contains(keeping(mounted).dataPath(of: kept)) == true)
        try await mounted.succeed("[ $(cat $M/f) = other ]; [ $(ls $M) = f ]")
      }
    }

    /// Not the whole content, but what was written, has room in what may be kept.
    @Test(.needsFuse) func whatIsTooLargeToBeKeptWholeIsKeptAsItWasWritten() async throws {
      try await Mounted.run(configure: { $0.spoolBytes = 1 << 20 }) { mounted in
        try await prepare(mounted)
        mounted.files.set { $0.refusal = DFSError(.serversMissing, "DFS2 and DFS3 are away") }
        try await mounted.fail(Self.overwrite)
        let kept = try await kept(mounted)
        #expect(kept.missingBytes > 2_000_000)
        mounted.files.set { $0.refusal = nil }
        let bytes = try data(of: kept, mounted)
        _ = try await keeping(mounted).restore(
          kept, BytesContent(bytes), on: MemoryClient(mounted.files), date: "now", progress: nil)
        try await mounted.succeed("cmp $M/f $LOCAL/whole")
      }
    }
  }
}
