import DFSCore
import Synchronization
import Testing

@Suite(.serialized) enum OnAMount {}

extension OnAMount {
  @Suite struct Files {
    @Test(.needsFuse) func writeAndRead() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M
          echo hello > f; [ "$(cat f)" = hello ]
          echo more >> f; [ "$(cat f)" = "$(printf 'hello\\nmore')" ]
          for n in 0 1 2 3 4 5 32767 32768 32769 1000000 30000000; do
            head -c $n /dev/urandom > $LOCAL/r; cp $LOCAL/r r; cmp $LOCAL/r r
            [ $(stat -c %s r) = $n ]
          done
          cp $LOCAL/r r2; dd if=r2 of=/dev/null bs=1M status=none; cmp r r2
          printf X | dd of=r2 bs=1 seek=1234567 conv=notrunc status=none
          printf X | dd of=$LOCAL/r bs=1 seek=1234567 conv=notrunc status=none
          cmp $LOCAL/r r2
          truncate -s 2000000 r2; truncate -s 2000000 $LOCAL/r; cmp $LOCAL/r r2
          truncate -s 3000000 r2; truncate -s 3000000 $LOCAL/r; cmp $LOCAL/r r2
          : > r2; [ ! -s r2 ]; touch new; [ -f new ]; [ $(stat -c %s new) = 0 ]
          echo again | tee -a f > /dev/null; [ $(wc -l < f) = 3 ]
          """)
        let versions = mounted.files.state.withLock { state in
          state.inodes.values.filter { $0.kind == .regular }.map(\.version)
        }
        #expect(versions.allSatisfy { $0 != nil }, "every closed file has a version")
      }
    }

    @Test(.needsFuse) func namesAndAttributes() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M
          mkdir -p d/e; echo x > d/e/f; mv d/e/f d/g; [ "$(cat d/g)" = x ]
          ln -s d/g link; [ "$(readlink link)" = d/g ]; [ "$(cat link)" = x ]
          ln d/g hard; [ $(stat -c %h hard) = 2 ]; echo y > hard; [ "$(cat d/g)" = y ]
          rm d/g; [ "$(cat hard)" = y ]; [ $(stat -c %h hard) = 1 ]
          chmod 640 hard; [ $(stat -c %a hard) = 640 ]
          touch -d '2001-02-03 04:05:06.123456789 UTC' hard
          [ "$(stat -c %y hard)" = '2001-02-03 04:05:06.123456789 +0000' ] ||
            [ $(stat -c %Y hard) = 981173106 ]
          cp -p hard copy; [ $(stat -c %Y copy) = 981173106 ]
          if mkdir d 2>/dev/null; then exit 1; fi
          if rmdir d 2>/dev/null; then exit 1; fi
          rmdir d/e d; mkfifo p; [ -p p ]
          for i in $(seq 2000); do : > many$i; done
          [ $(ls | grep -c many) = 2000 ]; [ $(ls -l | grep -c many) = 2000 ]
          [ $(find . -name 'many*' | wc -l) = 2000 ]
          rm many*; [ "$(ls -A | tr '\\n' ' ')" = 'copy hard link p ' ]
          df -B1 --output=size . | grep -q 107374182400
          du -s . > /dev/null
          python3 -c '
          import os
          os.setxattr("hard", "user.a", b"value"); assert os.getxattr("hard", "user.a") == b"value"
          assert os.listxattr("hard") == ["user.a"]
          os.removexattr("hard", "user.a"); assert os.listxattr("hard") == []
          os.rename("hard", "soft")
          '
          """)
      }
    }

    @Test(.needsFuse) func openWhileRemovedOrReplaced() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed(
          """
          cd $M
          head -c 600000 /dev/urandom > $LOCAL/a; head -c 700000 /dev/urandom > $LOCAL/b
          cp $LOCAL/a a; cp $LOCAL/a b; cp $LOCAL/a c; cp $LOCAL/a d; cp $LOCAL/b new
          exec 3< a 4< b 5< c 6< d
          rm a
          mv new b
          cp $LOCAL/b $M2/new; mv $M2/new $M2/c
          cp $LOCAL/b $M2/d; cmp d $LOCAL/b
          cmp - $LOCAL/a <&3; cmp - $LOCAL/a <&4; cmp - $LOCAL/a <&5; cmp - $LOCAL/a <&6
          cmp d $LOCAL/b
          exec 3<&- 4<&- 5<&- 6<&-
          [ ! -e a ]; cmp b $LOCAL/b; cmp c $LOCAL/b; cmp d $LOCAL/b
          exec 3> gone; echo 1 >&3; rm gone; echo 2 >&3
          [ "$(stat -L -c '%s %h' /proc/self/fd/3)" = '4 0' ]
          exec 3>&-
          [ ! -e gone ]
          """)
        #expect(mounted.files.state.withLock { $0.contents.count } == 3)
      }
    }

    /// The kernel still believes the size of the version before: an append goes to the end of what was
    /// opened all the same, and is read there. Found by scripts/torture --no-faults, seed 3.
    @Test(.needsFuse) func anAppendGoesToTheEndOfWhatWasOpened() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed("echo first > $M/f; cat $M/f $M2/f")
        mounted.files.set { $0.isPushing = false }
        try await mounted.succeed(
          """
          for size in 100000 10 5000 70000; do
            head -c $size /dev/urandom > $LOCAL/f; cp $LOCAL/f $M2/f
            printf 'appended %s' $size >> $LOCAL/f
            python3 -c '
          import os, sys
          fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
          os.write(fd, b"appended " + sys.argv[2].encode())
          expected = open(sys.argv[3], "rb").read()
          found = os.pread(fd, 1000000, 0)
          assert found == expected, f"{len(found)} bytes are read, not {len(expected)}"
          assert os.fstat(fd).st_size == len(expected)' $M/f $size $LOCAL/f
            cmp $LOCAL/f $M/f
            cp $LOCAL/f $M2/f; echo more >> $LOCAL/f; echo more >> $M/f
            cmp $LOCAL/f $M/f
          done
          """)
      }
    }

    @Test(.needsFuse) func otherMountsSee() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed(
          """
          for i in $(seq 50); do
            echo "one $i" > $M/f; [ "$(cat $M2/f)" = "one $i" ]
            echo "two $i, longer" > $M2/f; [ "$(cat $M/f)" = "two $i, longer" ]
            mv $M/f $M/g; [ "$(cat $M2/g)" = "two $i, longer" ]; mv $M2/g $M2/f
            echo x > $M2/t; mv $M2/t $M2/f; [ "$(cat $M/f)" = x ]
          done
          """)
      }
    }

    /// What is being written is stored by the close of who writes it, not when others close the file;
    /// but what was written through a mapping, when that is gone.
    @Test(.needsFuse) func othersDoNotStoreWhatIsHalfWritten() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed("printf old > $M/f")
        let before = mounted.files.state.withLock { $0.publishes }
        try await mounted.succeed(
          """
          python3 - <<'END'
          import mmap, os
          path = os.environ["M"] + "/f"
          for i in range(10):
              mapped = os.open(path, os.O_RDWR)
              mapping = mmap.mmap(mapped, 3, mmap.MAP_SHARED, mmap.PROT_READ)
              os.close(mapped)
              writer = os.open(path, os.O_RDWR)
              os.ftruncate(writer, 0)
              os.close(os.open(path, os.O_RDONLY))
              mapping.close()
              os.close(os.open(path, os.O_RDWR))
              os.write(writer, b"new")
              os.close(writer)
          END
          """)
        #expect(mounted.files.state.withLock { $0.publishes } == before + 10)
        try await mounted.succeed(
          """
          python3 - <<'END'
          import mmap, os, time
          path = os.environ["M"] + "/f"
          mapped = os.open(path, os.O_RDWR)
          mapping = mmap.mmap(mapped, 3)
          os.close(mapped)
          writer = os.open(path, os.O_RDWR)
          mapping[:] = b"map"
          mapping.close()
          begin = time.monotonic()
          while open(os.environ["M2"] + "/f", "rb").read() != b"map":
              assert time.monotonic() - begin < 5
          os.close(writer)
          END
          """)
      }
    }
  }
}
