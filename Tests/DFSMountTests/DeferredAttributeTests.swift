import DFSClient
import DFSCore
import Foundation
import Synchronization
import Testing

extension OnAMount {
  /// Attributes that are changed while a file is written go with its content.
  @Suite struct DeferredAttributes {
    private static let helpers = """
      import os, sys, threading, time
      M, M2 = os.environ["M"], os.environ["M2"]
      isRoot = os.geteuid() == 0
      def begin(name, content=b"content", flags=os.O_EXCL):
          fd = os.open(f"{M}/{name}", os.O_WRONLY | os.O_CREAT | flags, 0o600)
          os.write(fd, content)
          return fd
      def shape(status):
          return (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_atime_ns, status.st_mtime_ns)
      def set(fd, mode=0o4754, atime=5_000_000_007, mtime=9_000_000_003):
          owner = (12, 34) if isRoot else (os.geteuid(), os.getegid())
          os.utime(fd, ns=(atime, mtime)); os.fchown(fd, *owner); os.fchmod(fd, mode)
          return (mode, *owner, atime, mtime)
      def seen(name, expected, root):
          deadline = time.time() + 3
          while shape(os.stat(f"{root}/{name}")) != expected:
              assert time.time() < deadline, (name, shape(os.stat(f"{root}/{name}")), expected)
              time.sleep(0.05)

      """

    private func run(
      _ script: String, changes: Int, publishes: Int
    ) async throws {
      try await Mounted.run(mounts: 2, options: getuid() == 0 ? ["allow_other"] : []) { mounted in
        try await mounted.succeed(
          """
          cat > $LOCAL/test.py <<'END'
          \(Self.helpers)\(script)
          END
          python3 $LOCAL/test.py
          """)
        let counts = mounted.files.state.withLock { ($0.attributeChanges, $0.publishes) }
        #expect(counts == (changes, publishes))
      }
    }

    @Test(.needsFuse) func theyArePublishedWithANewFile() async throws {
      try await run(
        """
        fd = begin("closed"); expected = set(fd)
        assert shape(os.fstat(fd)) == shape(os.stat(f"{M}/closed")) == expected
        assert os.stat(f"{M}/closed").st_size == 7
        before = os.fstat(fd).st_ctime_ns
        other = os.open(f"{M}/closed", os.O_RDONLY)
        assert shape(os.fstat(other)) == expected
        os.close(fd)
        for root in M, M2: assert shape(os.stat(f"{root}/closed")) == expected, root
        assert os.stat(f"{M2}/closed").st_ctime_ns >= before
        os.close(other)
        fd = begin("synced"); expected = set(fd); os.fsync(fd)
        assert shape(os.stat(f"{M2}/synced")) == expected
        os.close(fd)
        # Under another name.
        fd = begin("old"); expected = set(fd)
        os.rename(f"{M}/old", f"{M}/new"); os.close(fd)
        assert shape(os.stat(f"{M2}/new")) == expected
        # Writing moves the time.
        fd = begin("written"); set(fd); os.write(fd, b"more"); os.close(fd)
        assert abs(os.stat(f"{M2}/written").st_mtime - time.time()) < 60
        assert os.stat(f"{M2}/written").st_atime_ns == 5_000_000_007
        # What is gone keeps them for who has it open.
        fd = begin("gone"); expected = set(fd); os.unlink(f"{M}/gone")
        assert shape(os.fstat(fd)) == expected
        os.close(fd)
        """, changes: 0, publishes: 4)
    }

    @Test(.needsFuse) func othersNeedNotWaitForThem() async throws {
      try await run(
        """
        # It stays open for long.
        fd = begin("long"); expected = set(fd); before = os.fstat(fd).st_ctime_ns
        seen("long", expected[:4] + (os.stat(f"{M2}/long").st_mtime_ns,), M2)
        assert os.stat(f"{M2}/long").st_size == 0
        time.sleep(1.1); assert os.fstat(fd).st_ctime_ns == before, "no call changed it"
        os.close(fd)
        assert shape(os.stat(f"{M2}/long")) == expected
        # It is there already: its times go with the content, all else at once.
        fd = begin("long", b"other", 0)
        os.utime(fd, ns=(1_000_000_001, 2_000_000_002))
        assert os.stat(f"{M}/long").st_mtime_ns == 2_000_000_002
        assert os.stat(f"{M2}/long").st_mtime_ns == 9_000_000_003
        os.fchmod(fd, 0o640)
        seen("long", (0o640, *expected[1:3], 1_000_000_001, 9_000_000_003), M2)
        os.close(fd)
        expected = (0o640, *expected[1:3], 1_000_000_001, 2_000_000_002)
        seen("long", expected, M2)
        # Nothing is to be published.
        os.chmod(f"{M}/long", 0o444); seen("long", (0o444, *expected[1:]), M2)
        """, changes: 3, publishes: 2)
    }

    /// What is changed while a file is being published is the last word.
    @Test(.needsFuse) func aPublishUnderWaySetsNothingBack() async throws {
      let files = MemoryFiles()
      files.set { $0.publishDelay = .milliseconds(500) }
      try await Mounted.run(files, mounts: 2) { mounted in
        try await mounted.succeed(
          """
          cat > $LOCAL/test.py <<'END'
          \(Self.helpers)
          fd = begin("f"); os.fchmod(fd, 0o644); os.utime(fd, ns=(1, 2_000_000_000))
          closing = threading.Thread(target=lambda: os.close(fd)); closing.start(); time.sleep(0.2)
          os.chmod(f"{M}/f", 0o604)
          assert os.stat(f"{M}/f").st_mode & 0o7777 == 0o604
          closing.join()
          for root in M, M2:
              status = os.stat(f"{root}/f")
              assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o604, 2_000_000_000), status
          END
          python3 $LOCAL/test.py
          """)
      }
    }

    /// What could not be stored has its attributes when it can.
    @Test(.needsFuse) func aFailedPublishLosesNone() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed("echo old > $M/f")
        mounted.files.set { $0.refusal = DFSError(.serversMissing, "no") }
        async let script = mounted.succeed(
          """
          cat > $LOCAL/test.py <<'END'
          \(Self.helpers)
          fd = begin("f", b"new", 0); os.utime(fd, ns=(1_000_000_000, 2_000_000_000))
          try: os.fsync(fd)
          except OSError: pass
          else: assert False, "it was stored"
          # At once: who knows when it will be.
          os.utime(fd, ns=(3_000_000_000, 4_000_000_000)); os.fchmod(fd, 0o640)
          assert os.stat(f"{M}/f").st_mtime_ns == 4_000_000_000
          seen("f", (0o640, *shape(os.stat(f"{M2}/f"))[1:3], 3_000_000_000, 4_000_000_000), M2)
          open(f"{os.environ['LOCAL']}/failed", "w").close()
          while not os.path.exists(f"{os.environ['LOCAL']}/again"): time.sleep(0.05)
          os.close(fd)
          seen("f", (0o640, *shape(os.stat(f"{M2}/f"))[1:3], 3_000_000_000, 4_000_000_000), M2)
          assert open(f"{M2}/f", "rb").read() == b"new\\n"
          END
          timeout 20 python3 $LOCAL/test.py
          """)
        let local = mounted.directory + "/local"
        for _ in 0..<200 where !FileManager.default.fileExists(atPath: local + "/failed") {
          try await Task.sleep(for: .milliseconds(50))
        }
        mounted.files.set { $0.refusal = nil }
        #expect(FileManager.default.createFile(atPath: local + "/again", contents: nil))
        _ = try await script
      }
    }
  }
}
