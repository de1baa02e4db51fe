import DFSCore
import Testing

extension EndToEnd {
  /// What programs do with the bytes of files: each script runs on a local directory first, and then
  /// on the mount, where it must come to the same end.
  @Suite struct FileData {
    /// Runs a script of Python in `$LOCAL/there` and then in `$M`.
    private func both(
      _ cluster: MountedCluster, _ script: String, seconds: Int = 60,
      at location: SourceLocation = #_sourceLocation
    ) async throws {
      try await cluster.shell.succeed(
        """
        mkdir -p $LOCAL/there
        cat > $LOCAL/script.py <<'END'
        \(FileDataScripts.common)
        \(script)
        END
        (cd $LOCAL/there && python3 $LOCAL/script.py)
        (cd $M && python3 $LOCAL/script.py)
        """, seconds: seconds, at: location)
    }

    @Test(.needsFuse) func spaceIsTakenAndHolesAreMade() async throws {
      try await MountedCluster.run { cluster in
        try await both(cluster, FileDataScripts.allocation)
      }
    }

    @Test(.needsFuse) func dataAndHolesAreFound() async throws {
      try await MountedCluster.run { cluster in
        try await both(cluster, FileDataScripts.seeking)
      }
    }

    @Test(.needsFuse) func rangesAreCopied() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await both(cluster, FileDataScripts.copying)
        // The copy of a stored file is stored, and what was copied from is untouched.
        try await cluster.shell.succeed(
          """
          head -c 5000000 /dev/urandom > $LOCAL/one; cp $LOCAL/one $M2/one
          cp --reflink=auto $M/one $M/two; cmp $LOCAL/one $M2/two; cmp $LOCAL/one $M2/one
          [ "$(md5sum < $M/two)" = "$(md5sum < $LOCAL/one)" ]
          """)
      }
    }

    /// A hole takes no space on the spool and none on the servers; its MD5 is that of zeros.
    @Test(.needsFuse) func holesTakeNoSpace() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          sed 's/^Username/Spool-Size 16M\\nUsername/' $CONF > $DIR/small.conf; chmod 600 $DIR/small.conf
          dfs-mount --unmount $M; dfs-mount $DIR/small.conf $M
          before=$(du -sk $DIR/DFS? | awk '{n += $1} END {print n}')
          for there in $LOCAL $M; do
            truncate -s 150M $there/sparse
            printf end >> $there/sparse
            printf middle | dd of=$there/sparse bs=1 seek=70000000 conv=notrunc status=none
          done
          [ $(stat -c %s $M/sparse) = 157286403 ]
          after=$(du -sk $DIR/DFS? | awk '{n += $1} END {print n}')
          echo "the servers took $((after - before)) KiB"
          [ $((after - before)) -lt 8192 ]
          dfc $CONF list -l | grep 157286403
          [ "$(md5sum < $LOCAL/sparse)" = "$(dfc $CONF get sparse - | md5sum)" ]
          dfc $CONF verify --all
          """, seconds: 300)
      }
    }

    /// Holes are not stored, however large, and not counted; also once the file is settled.
    @Test(.needsFuse) func largeHoles() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          truncate -s 100G $M/f; [ $(stat -c %s $M/f) = 107374182400 ]
          printf middle | dd of=$M/f bs=1M seek=51200 conv=notrunc status=none
          head -c 3000000 /dev/urandom | tee $LOCAL/data | dd of=$M/f bs=1M seek=60000 conv=notrunc status=none
          check() {
            [ $(stat -c %s $1) = 107374182400 ]; [ $(du -k $1 | cut -f1) -lt 8192 ]
            [ "$(dd if=$1 iflag=skip_bytes bs=6 skip=53687091200 count=1 status=none)" = middle ]
            dd if=$1 iflag=skip_bytes,count_bytes bs=1M skip=62914560000 count=3000000 status=none | cmp - $LOCAL/data
            [ $(dd if=$1 bs=1M skip=100 count=4 status=none | tr -d '\\0' | wc -c) = 0 ]
            python3 -c '
          import os, sys
          fd = os.open(sys.argv[1], os.O_RDONLY)
          at, found = 0, []
          while at < 107374182400:
              try: data = os.lseek(fd, at, os.SEEK_DATA)
              except OSError: break
              at = os.lseek(fd, data, os.SEEK_HOLE)
              found.append((data, at))
          sys.exit(0 if found[0][0] <= 51200 << 20 and found[-1][1] >= (60000 << 20) + 3000000
              and sum(b - a for a, b in found) < 8 << 20 else str(found))' $1
          }
          check $M/f; check $M2/f
          dfc $CONF status | grep 'not settled'; dfc $CONF settle f
          if dfc $CONF status | grep 'not settled'; then exit 1; fi
          check $M/f; check $M2/f; dfc $CONF verify --all
          seen() { for try in $(seq 100); do [ $(stat -c %s $M2/f) = $1 ] && return; sleep 0.05; done; return 1; }
          truncate -s 3T $M/f; seen 3298534883328; truncate -s 0 $M/f; seen 0
          """, seconds: 200)
      }
    }

    @Test(.needsFuse) func mappings() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await both(cluster, FileDataScripts.mapping)
        try await cluster.shell.succeed("cmp $M/mapped $M2/mapped; cmp $LOCAL/there/late $M2/late")
      }
    }

    @Test(.needsFuse) func appendsToOneFile() async throws {
      try await MountedCluster.run { cluster in
        try await both(cluster, FileDataScripts.appending, seconds: 200)
      }
    }

    @Test(.needsFuse) func directInputAndOutput() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          head -c 8388608 /dev/urandom > $LOCAL/f
          dd if=$LOCAL/f of=$M/f bs=64k oflag=direct status=none; cmp $LOCAL/f $M/f
          dd if=$M/f iflag=direct bs=1M status=none | cmp - $LOCAL/f
          dd if=$LOCAL/f of=$M/f bs=4k seek=100 skip=500 count=10 oflag=direct conv=notrunc status=none
          dd if=$LOCAL/f of=$LOCAL/g bs=4k status=none
          dd if=$LOCAL/f of=$LOCAL/g bs=4k seek=100 skip=500 count=10 conv=notrunc status=none
          cmp $LOCAL/g $M/f; dd if=$M/f iflag=direct bs=512 count=9000 status=none | cmp -n 4608000 - $LOCAL/g
          """)
      }
    }

    @Test(.needsFuse) func openFilesGoOn() async throws {
      try await MountedCluster.run { cluster in
        try await both(cluster, FileDataScripts.openFiles)
      }
    }

    /// flock(2) and fcntl(2) between processes of one mount.
    @Test(.needsFuse) func locksHold() async throws {
      try await MountedCluster.run { cluster in
        try await both(cluster, FileDataScripts.locking, seconds: 120)
      }
    }

    /// After the spool was full, what fits can be written, and nothing strange is in the file.
    @Test(.needsFuse) func afterAFullSpool() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          sed 's/^Username/Spool-Size 16M\\nUsername/' $CONF > $DIR/small.conf; chmod 600 $DIR/small.conf
          dfs-mount --unmount $M; dfs-mount $DIR/small.conf $M
          cat > $LOCAL/full.py <<'END'
          \(FileDataScripts.common)
          \(FileDataScripts.fullSpool)
          END
          cd $M; python3 $LOCAL/full.py
          """)
      }
    }

    /// Each errno says what happened.
    @Test(.needsFuse) func errorsMeanWhatTheySay() async throws {
      try await MountedCluster.run(mounts: 2, mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/errors.py <<'END'
          \(FileDataScripts.common)
          \(FileDataScripts.errors)
          END
          cd $LOCAL; python3 $LOCAL/errors.py
          kill -KILL $(server_pid DFS2)
          # What began before the mount knew that the server is gone, three servers may still take.
          refused() {
            for try in $(seq 100); do
              if ! "$@" 2> $LOCAL/said && grep -q 'Read-only' $LOCAL/said; then return; fi
              sleep 0.1
            done
            cat $LOCAL/said >&2; return 1
          }
          refused cp $LOCAL/errors.py $M/no
          refused dd if=/dev/zero of=$M/f count=1 conv=notrunc
          """, seconds: 120)
      }
    }
  }
}
