import DFSCore
import DFSTestSupport
import Synchronization
import Testing

extension OnAMount {
  /// For how long the kernel answers from its own memory.
  @Suite struct KernelMemory {
    private let look = "stat $M/a $M/d/b; find $M -size -2k; ls -l $M $M/d"

    /// Nothing has changed, and it is told what changes: longer than for a second.
    @Test(.needsFuse) func namesAndAttributesAreKept() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed("mkdir $M/d; echo a > $M/a; echo b > $M/d/b")
        // What was open is asked for a second later.
        try await mounted.succeed("sleep 1.1; \(look); sleep 1.1")
        let before = mounted.files.state.withLock { $0.asked }
        try await mounted.succeed("stat $M/a $M/d/b; [ -e $M/d/b ]")
        #expect(mounted.files.state.withLock { $0.asked } == before)
      }
    }

    /// Of a change that is not told it hears a second later: of a file that is open, or while changes
    /// cannot be heard of.
    @Test(.needsFuse, arguments: [true, false])
    func whatMayChangeIsAskedForSoon(isOpen: Bool) async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed("echo a > $M/a")
        mounted.files.set { $0.hearsChanges = isOpen }
        let open = isOpen ? "exec 3<$M/a;" : ""
        try await mounted.succeed("\(open) stat $M/a; sleep 1.1; \(open) stat $M/a")
        let before = mounted.files.state.withLock { $0.asked }
        try await mounted.succeed("\(open) stat $M/a; sleep 1.1; stat $M/a")
        #expect(mounted.files.state.withLock { $0.asked } > before)
      }
    }

    /// What another mount changes is seen at once, however long the kernel may keep it.
    @Test(.needsFuse) func whatOthersChangeIsSeen() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed(
          """
          mkdir $M/d; echo one > $M/d/a; ln -s one $M/d/link
          python3 - "$M" "$M2" <<'END'
          import os, sys, time
          here, there = sys.argv[1:]
          def seen(what):
              begin = time.monotonic()
              while not what():
                  assert time.monotonic() - begin < 5, "not seen"
                  time.sleep(0.001)
          for i in range(100):
              os.chmod(here + "/d/a", 0o600 + i % 2)
              seen(lambda: os.stat(there + "/d/a").st_mode & 0o777 == 0o600 + i % 2)
              os.rename(there + "/d/a", there + "/d/b")
              seen(lambda: not os.path.exists(here + "/d/a") and os.path.exists(here + "/d/b"))
              os.rename(here + "/d/b", here + "/d/a")
              seen(lambda: os.listdir(there + "/d") == os.listdir(here + "/d"))
              seen(lambda: os.path.exists(there + "/d/a"))
          END
          """)
      }
    }

    /// A directory that is read page by page while its files change is not shown as it was.
    @Test(.needsFuse) func pagesOfADirectoryGrowOld() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          mkdir $M/d; for i in $(seq 2000); do : > $M/d/f$i; done; sleep 1.1
          python3 - "$M" <<'END'
          import os, sys, time
          d = sys.argv[1] + "/d"
          with os.scandir(d) as entries:
              names = [next(entries).name]
              for i in range(1, 2001): os.chmod(f"{d}/f{i}", 0o600)
              names += [entry.name for entry in entries]
          assert len(set(names)) == 2000
          old = [i for i in range(1, 2001) if os.stat(f"{d}/f{i}").st_mode & 0o777 != 0o600]
          assert not old, f"{len(old)} of 2000 as they were before they were changed"
          END
          """)
      }
    }
  }
}
