import DFSClient
import DFSCore
import Synchronization
import Testing

extension OnAMount {
  @Suite struct Attributes {
    @Test(.needsFuse) func toldAttributesAreAnsweredAndNotListed() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M; echo hello > f; mkdir d
          cat > $LOCAL/test.py <<'END'
          import errno, os
          def fails(number, body):
              try: body()
              except OSError as error: assert error.errno == number, error
              else: assert False, "it was not refused"
          get = lambda name: os.getxattr("f", "user.dfs." + name).decode()
          assert get("md5") == "b1946ac92492d2347c6235b4d2611184"
          assert get("placement").count("=DFS") == 4
          assert get("health").startswith("incomplete 1=none")   # copies are on no server here
          assert os.listxattr("f") == []
          fails(errno.EPERM, lambda: os.setxattr("f", "user.dfs.md5", b""))
          fails(errno.EPERM, lambda: os.removexattr("f", "user.dfs.md5"))
          fails(errno.ENODATA, lambda: os.getxattr("d", "user.dfs.md5"))
          fails(errno.ENODATA, lambda: os.getxattr("f", "user.dfs.process"))
          # Not what is written and not published, but what is.
          with open("f", "w") as file:
              file.write("more"); file.flush()
              assert get("md5") == "b1946ac92492d2347c6235b4d2611184"
          assert get("md5") != "b1946ac92492d2347c6235b4d2611184"
          END
          python3 $LOCAL/test.py
          """)
      }
    }

    @Test(.needsFuse) func nameSpacesOfAttributes() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M; echo hello > f; echo hello > g
          cat > $LOCAL/test.py <<'END'
          import errno, os
          names = ["user.a/b", "user.x"]
          if os.geteuid() == 0: names += ["security.capability", "trusted.t"]
          capability = b"\\1\\0\\0\\2" + b"\\0" * 16
          for name in names:
              value = capability if name == "security.capability" else b"value"
              os.setxattr("f", name, value); assert os.getxattr("f", name) == value, name
          assert sorted(os.listxattr("f")) == sorted(names)
          # As on a local disk, who writes takes the capability away.
          with open("f", "a") as file: file.write("!")
          assert "security.capability" not in os.listxattr("f")
          if os.geteuid() == 0:
              with open("g", "a") as file:
                  file.write("!"); file.flush(); os.setxattr("g", "security.capability", capability)
                  file.write("!")
              assert os.listxattr("g") == []
          # What has no name keeps what is set from now on.
          with open("f") as file:
              os.unlink("f"); os.setxattr(file.fileno(), "user.y", b"y")
              assert "user.y" in os.listxattr(file.fileno())
              for name in os.listxattr(file.fileno()): os.removexattr(file.fileno(), name)
              assert os.listxattr(file.fileno()) == []
          END
          python3 $LOCAL/test.py
          """)
      }
    }

    @Test(.needsFuse) func aTemporaryFileIsNamedWhole() async throws {
      try await Mounted.run(mounts: 2) { mounted in
        try await mounted.succeed(
          """
          cd $M; mkdir d
          cat > $LOCAL/test.py <<'END'
          import errno, os, sys
          try: fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
          except OSError as error:
              assert error.errno == errno.EOPNOTSUPP, error   # Linux before 6.1
              sys.exit(0)
          os.write(fd, b"content"); os.fsync(fd); os.setxattr(fd, "user.a", b"1")
          assert os.fstat(fd).st_nlink == 0 and os.listdir("d") == []
          os.link("/proc/self/fd/%d" % fd, "d/f", src_dir_fd=os.open("/", os.O_RDONLY), follow_symlinks=True)
          assert open(os.environ["M2"] + "/d/f").read() == "content"
          assert os.fstat(fd).st_nlink == 1 and os.getxattr("d/f", "user.a") == b"1"
          os.write(fd, b" and more"); os.close(fd)
          assert open("d/f").read() == "content and more"
          os.close(os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640))
          END
          python3 $LOCAL/test.py
          """)
        #expect(mounted.files.state.withLock { $0.contents.count } <= 1)
      }
    }

    @Test(.needsFuse) func aHundredThousandEntries() async throws {
      let files = MemoryFiles()
      let count = 100_000
      try files.state.withLock { state throws(DFSError) in
        let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
        for index in 0..<count { _ = try state.create(.root, FileName("f\(index)"), new) }
      }
      try await Mounted.run(files) { mounted in
        try await mounted.succeed(
          """
          cd $M
          [ $(ls -f | wc -l) = \(count + 2) ]
          [ $(ls -l | wc -l) = \(count + 1) ]
          [ $(find . -type f -name 'f*' | sort -u | wc -l) = \(count) ]
          # Removed while it is read: nothing is skipped.
          rm -r f*[05] 2>/dev/null || ls | grep '[05]$' | xargs rm
          [ $(ls | wc -l) = \(count * 8 / 10) ]
          """, seconds: 300)
      }
    }
  }
}
