import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// dfc without words that say where, and what its keys do on a terminal.
  @Suite struct PromptOfDfc {
    @Test(.needsFuse) func theTabKeyCompletesCommandsAndNames() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL; echo here > 'local file'
          mkdir "$M/my dir" $M/other; echo 3 > "$M/it's"; echo 4 > $M/$'line\\nfeed'; echo 1 > "$M/my dir/alpha1"; echo 2 > "$M/my dir/alpha2"
          cat > prompt.py <<'END'
          \(Terminal.script)
          assert b"no command" not in typed(b"li\\tm\\t\\n"), "a command, a directory"
          shown = typed(b"where my\\\\ dir/al\\t1\\n")
          assert b"my dir/alpha1: 2 bytes" in shown, shown
          shown = typed(b"rm 'my dir/al\\t2'\\n")
          assert b"there is no" not in shown, shown
          shown = typed(b"put \\"loc\\t\\n")
          assert b"local file: 5 B stored" in shown, shown
          # What cannot be typed is not.
          assert b"it's: 2 bytes" in typed(b"where it\\t\\n")
          assert b"there is no 'it'" in typed(b"where 'it\\t'\\n")
          assert b"there is no 'li'" in typed(b"where li\\t\\n")
          os.write(terminal, b"list o\\t")
          until(b"list other/")
          os.write(terminal, b"\\x15rm \\t\\t")
          shown = until(b"local file  my dir/  other/")
          assert b"it's  line" in shown and not any(b + b"feed" in shown for b in [b"\\n", b"\\r"]), shown
          os.write(terminal, b"\\x15exit\\n")
          assert os.waitpid(pid, 0)[1] == 0
          END
          export HOME=$LOCAL DFS_CONF=$CONF; python3 prompt.py
          [ -e "$M/my dir/alpha1" ]; [ ! -e "$M/my dir/alpha2" ]; cmp 'local file' "$M/local file"
          """)
      }
    }

    /// Control-C drops a line, or cancels the command; a signal that ends dfc leaves no temporary file, and
    /// one that its parent ignores stays ignored.
    @Test(.needsFuse) func signalsCancelAndEnd() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          "cd $LOCAL; head -c 128M /dev/zero > large; dfc $CONF put large")
        try await cluster.servers.kill(ServerIndex(1))
        try await cluster.shell.succeed(
          """
          cd $LOCAL; cat > prompt.py <<'END'
          \(Terminal.script)
          import signal
          os.write(terminal, b"put large\\x03")
          until(b"^C"); until(b"dfc> ")
          def healing():
              os.write(terminal, b"heal --wait\\n")
              until(b"DFS2")
          healing()
          os.write(terminal, b"\\x03")
          until(b"interrupted"); until(b"dfc> ")
          assert b"large" in typed(b"list\\n")
          healing()
          for _ in range(2):
              os.kill(pid, signal.SIGINT)
              time.sleep(0.1)
          status = os.waitpid(pid, 0)[1]
          assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT, status
          END
          python3 prompt.py
          (trap '' HUP; exec dfc $CONF heal --wait) 2> heal.log & healing=$!
          until grep -q DFS2 heal.log; do sleep 0.1; done
          kill -HUP $healing; sleep 0.3; kill -TERM $healing
          wait $healing && exit 1; [ $? = 143 ]
          mkdir copy; dfc $CONF get large copy/ & getting=$!
          until ls copy/.dfc-get-* 2> /dev/null; do kill -0 $getting; done
          kill -TERM $getting
          wait $getting && exit 1; [ $? = 143 ]
          [ -z "$(ls -A copy)" ]
          """)
      }
    }

    @Test(.needsFuse) func theConfigurationIsFoundWithoutBeingNamed() async throws {
      try await MountedCluster.run { cluster in
        let shell = cluster.shell
        try await shell.succeed(
          """
          export HOME=$LOCAL; cd $LOCAL; echo x > x
          DFS_CONF=$CONF dfc put x; DFS_CONF=$CONF dfc --quiet LIST | grep -qx x
          mkdir -p .config/dfs; cp -p $CONF .config/dfs/dfc.conf
          dfc list | grep -qx x; echo list | dfc | grep -qx x; dfc --json ls | grep -q '"name":"x"'
          """)
        let none = try await shell.fail("HOME=/nowhere dfc list", status: 64)
        #expect(none.errors.contains("DFS_CONF"), "\(none)")
        let unknown = try await shell.fail("dfc lst", status: 64)
        #expect(unknown.errors.contains("there is no command 'lst'"), "\(unknown)")
        // Help needs neither configuration nor servers.
        for words in [
          "--help", "help put", "put --help", "--version", "--generate-completion-script bash",
        ] {
          try await shell.succeed("HOME=/nowhere dfc \(words) | grep -q .")
        }
      }
    }

    /// The one of the library's page.
    @Test(.needsFuse) func theExampleStoresAndReads() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          DFS_CONF=$CONF dfs-example | grep -qx 'Hello, four servers!'
          [ "$(cat $M/hello)" = 'Hello, four servers!' ]
          """)
      }
    }

    @Test(.needsFuse) func aMountFindsItsConfigurationToo() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          echo x > $M/x; mkdir $LOCAL/second
          DFS_CONF=$CONF dfs-mount $LOCAL/second; cmp $M/x $LOCAL/second/x
          dfs-mount --unmount $LOCAL/second
          """)
      }
    }
  }
}
