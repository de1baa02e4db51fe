import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Names and paths that are not UTF-8, beside those that they are taken for when such bytes are
  /// replaced.
  @Suite struct ByteNames {
    /// Both are `x` and a replacement character to who cannot tell them apart.
    private static let pair = "X=$'x\\xff'; Y=$'x\\xef\\xbf\\xbd'; cd $LOCAL"

    @Test(.needsFuse) func commandsTakeTheFileThatIsNamed() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          \(Self.pair)
          printf one > $M/$X; printf two > $M/$Y
          [ "$(dfc $CONF get $X -)" = one ]; [ "$(dfc $CONF get $Y -)" = two ]
          dfc $CONF get $X $Y; dfc $CONF get $Y $X; [ "$(cat $Y)" = one ]; [ "$(cat $X)" = two ]
          rm $X $Y; dfc $CONF get $X $Y .; [ "$(cat $X)" = one ]; [ "$(cat $Y)" = two ]
          dfc $CONF list > names; printf 'x\\xef\\xbf\\xbd\\nx\\xff\\n' | cmp - names
          dfc $CONF where $X | grep -F 'x\\xff: 3 bytes'; dfc $CONF verify $X
          dfc $CONF mkdir $'d\\xff'; [ -d $M/$'d\\xff' ]; [ "$(ls $M | wc -l)" = 3 ]
          dfc $CONF mv $X $'d\\xff/'; [ "$(cat $M/$'d\\xff'/$X)" = one ]; [ "$(cat $M/$Y)" = two ]
          dfc $CONF mv $'d\\xff'/$X $X
          dfc $CONF rm $X; [ ! -e $M/$X ]; [ "$(cat $M/$Y)" = two ]
          printf three > $X; dfc $CONF put $X; [ "$(cat $M/$X)" = three ]; [ "$(cat $M/$Y)" = two ]
          printf four | dfc $CONF put - $X; [ "$(cat $M/$X)" = four ]; [ "$(cat $M/$Y)" = two ]
          dfc $CONF rm $Y; [ ! -e $M/$Y ]; [ "$(cat $M/$X)" = four ]
          """)
        let absent = try await cluster.shell.fail("dfc $CONF rm $'no\\xff\\nx'", status: 1)
        #expect(absent.errors.contains("no\\xff\\x0ax"), "\(absent)")
        let wrong = try await cluster.shell.fail("dfc $CONF list --no$'\\xff'", status: 64)
        #expect(wrong.errors.contains("--no\\xff"), "\(wrong)")
        let usage = try await cluster.shell.fail("dfs DFS1$'\\xff'", status: 64)
        #expect(!usage.errors.isEmpty)
        let help = try await cluster.shell.succeed(
          "dfc --version; dfs --version; dfs-mount --version")
        #expect(help.output.split(separator: "\n").count == 3, "\(help)")
      }
    }

    @Test(.needsFuse) func treesKeepTheirNames() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          \(Self.pair)
          mkdir -p t$X/sub$X t$X/sub$Y
          for d in t$X t$X/sub$X t$X/sub$Y; do echo $d 1 > $d/$X; echo $d 2 > $d/$Y; done
          ln -s $X t$X/link
          dfc $CONF put -r t$X; diff -r --no-dereference t$X $M/t$X
          mkdir got; dfc $CONF get -r t$X got; diff -r --no-dereference t$X got/t$X
          dfc $CONF mkdir e$Y; dfc $CONF put -r t$X e$Y/; diff -r --no-dereference t$X $M/e$Y/t$X
          dfc $CONF rm -r t$X/sub$X; [ ! -e $M/t$X/sub$X ]; [ -d $M/t$X/sub$Y ]
          """)
      }
    }

    /// Each line is JSON, and says the bytes of what is not UTF-8.
    @Test(.needsFuse) func jsonSaysTheBytes() async throws {
      try await MountedCluster.run { cluster in
        let lines = try await cluster.shell.succeed(
          """
          \(Self.pair)
          echo 1 > $M/$X; echo 2 > $M/$Y; ln -s $X $M/l
          (
            dfc $CONF list --json; dfc $CONF where --json $X; dfc $CONF get --json $X $'g\\xfe'
            dfc $CONF put --json $'g\\xfe'; dfc $CONF where --json $'no\\xfd' || [ $? = 1 ]
            dfc $CONF recover --json
          ) > lines 2> /dev/null
          python3 -c '
          import json, sys
          for line in open("lines", "rb"):
              found = json.loads(line.decode())
              for key in ("name", "destination", "target"):
                  if key not in found: continue
                  hexadecimal = found.get(key + "Hexadecimal")
                  if hexadecimal is None:
                      print(key, found[key].encode().hex(), "text")
                      continue
                  data = bytes.fromhex(hexadecimal)
                  assert found[key] == data.decode(errors="replace"), found
                  print(key, hexadecimal)
          '
          """)
        #expect(
          lines.output.split(separator: "\n") == [
            "name 6c text", "target 78ff", "name 78efbfbd text", "name 78ff", "name 78ff",
            "name 78ff", "destination 67fe", "name 67fe", "name 6e6ffd",
          ], "\(lines)")
      }
    }

    /// Commands from a pipe, and those that are typed: as raw bytes, and as bash quotes them.
    @Test(.needsFuse) func thePromptTakesAllBytes() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          \(Self.pair)
          for f in $X $Y $'y\\xff' $'y\\xef\\xbf\\xbd' y yé; do echo $f > $M/$f; done
          printf 'rm x\\xff\\nmkdir new\\xff\\n' | dfc $CONF
          [ ! -e $M/$X ]; [ -e $M/$Y ]; [ -d $M/$'new\\xff' ]
          cat > prompt.py <<'END'
          \(Terminal.script)
          for line in [b"rm y\\xff", "rm yé".encode(), b"mv x\\xef\\xbf\\xbd $'z\\\\xfe'", b"list"]:
              seen = typed(line + b"\\n")
              assert b"there is no" not in seen, seen
          assert b"z\\\\xfe" in seen, seen
          os.write(terminal, b"exit\\n")
          _, status = os.waitpid(pid, 0)
          assert status == 0
          END
          HOME=$LOCAL python3 prompt.py
          [ ! -e $M/$'y\\xff' ]; [ -e $M/$'y\\xef\\xbf\\xbd' ]; [ -e $M/y ]; [ ! -e $M/yé ]
          [ -e $M/$'z\\xfe' ]; [ ! -e $M/$Y ]
          grep -qa $'^rm y\\xff$' $LOCAL/.local/state/dfs/history
          """)
      }
    }

    @Test(.needsFuse) func whatIsKeptGetsItsNameBack() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL; mkdir -p $XDG_CACHE_HOME/dfs/recover; echo 'k' > $M/$'k\\xef\\xbf\\xbd'
          python3 -c '
          import json, os
          place = os.environ["XDG_CACHE_HOME"] + "/dfs/recover/1-aaaa"
          json.dump({"id": "1-aaaa", "owner": "Alice@default", "path": "k" + chr(0x10feff), "parent": 1,
                     "name": [0x6b, 0xff], "inode": 999999, "size": 5, "mode": 0o644, "ownerUser": 0,
                     "ownerGroup": 0, "modified": 1, "kept": 1, "reason": "a test"},
                    open(place + ".json", "w"))
          open(place + ".data", "w").write("kept" + chr(10))'
          dfc $CONF recover | grep -F 'k\\xff'
          dfc $CONF recover --json | grep -F '"nameHexadecimal":"6bff"'
          dfc $CONF recover 1-aaaa --json | grep -F '"nameHexadecimal":"6bff"'
          [ "$(cat $M/$'k\\xff')" = kept ]; [ "$(cat $M/$'k\\xef\\xbf\\xbd')" = k ]
          """)
      }
    }

    /// Configuration, password file, cache directory, users file, server directories, mount point and
    /// what is rebuilt from them, all under names that are not UTF-8, each beside one that is.
    @Test(.needsFuse) func everyPathMayBeAnyBytes() async throws {
      let shell = Shell()
      let place = NSTemporaryDirectory() + "dfs-bytes-\(UUID().uuidString)"
      let ports = try FourServers.freePorts(4).map { "\($0)" }.joined(separator: " ")
      let result = try await shell.bash(
        """
        set -e; ports=(\(ports)); place=\(place); mkdir -p $place/$'p\\xff' $place/$'p\\xef\\xbf\\xbd'
        cd $place/$'p\\xff'; mkdir $'m\\xfe' $'m\\xef\\xbf\\xbd'
        trap 'dfs-mount --unmount $'"'m\\xfe'"' || true; kill $(jobs -p) || true; wait; rm -r $place' EXIT
        echo SimplePassword > $'pw\\xfd'; chmod 600 $'pw\\xfd'
        dfs user add Alice --users $'u\\xfe.conf' --password-file $'pw\\xfd'
        [ ! -e $'u\\xef\\xbf\\xbd.conf' ]; [ "$(dfs user list --users $'u\\xfe.conf')" = Alice ]
        for i in 1 2 3 4; do
          echo "Server DFS$i 127.0.0.1:${ports[i-1]}"
          dfs DFS$i ${ports[i-1]} --users $'u\\xfe.conf' > log$i 2>&1 3>&- &
        done > $'c\\xff.conf'
        printf 'Username Alice\\nPassword-File pw\\xfd\\nCache-Directory c\\xfc\\n' >> $'c\\xff.conf'
        for i in $(seq 100); do dfc $'c\\xff.conf' list > /dev/null 2>&1 && break; sleep 0.1; done
        dfs-mount $'c\\xff.conf' $'m\\xfe'
        cut -d' ' -f2 /proc/self/mounts | grep -qaxF $place/$'p\\xff/m\\xfe'
        if dfs-mount $'c\\xff.conf' $'m\\xfe' 2> again; then exit 1; fi
        grep -qF 'm\\xfe is mounted already' again
        echo there > $'m\\xfe/f'; [ "$(dfc $'c\\xff.conf' get f -)" = there ]; [ -z "$(ls $'m\\xef\\xbf\\xbd')" ]
        grep -qF 'mounted on' $'c\\xfc'/mount-*.log; [ -d DFS1/Alice ]
        echo through | dfc $PWD/$'c\\xff.conf' put - g
        dfs-mount --unmount $'m\\xfe'; ! grep -qaF $'m\\xfe' /proc/self/mounts
        dfs-mount -f $'c\\xff.conf' $PWD/$'m\\xfe' 2> front & process=$!
        for i in $(seq 100); do [ -e $'m\\xfe/g' ] && break; sleep 0.1; done
        [ "$(cat $'m\\xfe/g')" = through ]; kill -TERM $process; wait $process
        kill $(jobs -p); wait
        grep -q 'stopped' log1
        dfs rescue DFS1 DFS3 --to $'out\\xff' > rescued; [ "$(cat $'out\\xff'/f)" = there ]
        grep -qF 'out\\xff' rescued; dfs rescue $PWD/DFS2 $PWD/DFS4 --to $'out\\xff/more' --json \\
          | grep -F '"outputHexadecimal"'
        dfs repair DFS2 | grep good
        """, seconds: 100)
      #expect(result.status == 0, "\(result)")
    }
  }
}
