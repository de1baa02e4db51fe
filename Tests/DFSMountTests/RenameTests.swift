import DFSCore
import Testing

extension OnAMount {
  /// Renames that another mount made first, of which this one's kernel has not heard.
  @Suite struct Renames {
    /// rename(2) of two names of one file does nothing; a name that is none any more is not one of
    /// them. Found by scripts/torture --mounts 2.
    @Test(
      .needsFuse,
      arguments: [
        "pass", "os.stat(to)", "list(map(os.DirEntry.stat, os.scandir(os.path.dirname(to))))",
        "os.close(os.open(to, os.O_RDONLY | os.O_CREAT))", "open(to).close()", "os.listdir(there)",
      ])
    func areNotThisOnes(before look: String) async throws {
      try await Mounted.run(mounts: 2, options: ["entry_timeout=60,attr_timeout=60"]) { mounted in
        mounted.files.set { $0.isPushing = false }
        try await mounted.succeed(
          """
          python3 - "$M" "$M2" <<'END'
          import os, sys
          here, there = sys.argv[1:]
          os.mkdir(here + "/d")
          def make(path, isDirectory):
              if isDirectory: os.mkdir(path)
              else: open(path, "w").close()
          def case(old, new, isDirectory):
              make(here + old, isDirectory)
              os.stat(there + old)
              os.rename(here + old, here + new)
              to = there + new
              try: \(look)
              except IsADirectoryError: pass
              try: os.rename(there + old, to)
              except FileNotFoundError: pass
              else: raise SystemExit(f"{old} was renamed to {new} twice")
              assert os.path.exists(to) and not os.path.exists(there + old)
              os.rename(to, there + old)
              assert os.path.exists(here + old) and not os.path.exists(here + new)
              os.rename(there + old, to)
              assert os.path.exists(here + new) and not os.path.exists(here + old)
          for isDirectory in False, True:
              n = "/b" if isDirectory else "/a"
              case(n + "1", n + "2", isDirectory)
              case(n + "3", "/d" + n, isDirectory)
              case("/d" + n + "4", n + "5", isDirectory)
          END
          """)
      }
    }

    /// A file may have several names, and loses one.
    @Test(.needsFuse) func hardLinksAreNamesOfOneFile() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        mounted.files.set { $0.isPushing = false }
        try await mounted.succeed(
          """
          echo content > $M/a; ln $M2/a $M2/b
          for i in 1 2 3; do [ $M/a -ef $M/b ]; [ $M2/b -ef $M2/a ]; ls -l $M $M2 > /dev/null; done
          python3 -c 'import os; os.rename(os.environ["M"] + "/a", os.environ["M"] + "/b")'
          [ $M/a -ef $M/b ]
          rm $M2/a
          [ "$(cat $M/b)" = content ]; [ "$(cat $M2/b)" = content ]
          """)
      }
    }
  }
}
