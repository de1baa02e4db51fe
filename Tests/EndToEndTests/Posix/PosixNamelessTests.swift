import DFSCore
import Testing

extension EndToEnd {
  /// What has no name (yet, or any more) and is open, on a real mount; the lines of
  /// docs/SEMANTICS.md name these tests.
  @Suite struct PosixNameless {
    @Test(.needsFuse) func temporaryFiles() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        def named(file, path):
            name_again(file, path); return os.stat(path)
        os.mkdir("d"); os.chmod("d", 0o2755)
        try: fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
        except OSError as error:
            assert error.errno == errno.EOPNOTSUPP, error   # Linux before 6.1
            sys.exit(0)
        file = os.fdopen(fd, "r+")
        assert os.listdir("d") == [] and os.fstat(fd).st_nlink == 0
        file.write("x" * 200000); file.flush(); os.fsync(fd)
        os.setxattr(fd, "user.a", b"1"); os.fchmod(fd, 0o604); os.utime(fd, ns=(5, 7))
        with open("/proc/self/fd/%d" % fd) as again: assert again.read() == "x" * 200000
        assert os.listdir(other + "/d") == []
        found = named(file, "d/f")
        assert found.st_ino == os.fstat(fd).st_ino and found.st_nlink == 1
        assert found.st_mtime_ns == 7 and stat.S_IMODE(found.st_mode) == 0o604
        # Whole at once, though it is still open.
        assert read(other + "/d/f") == "x" * 200000 and os.getxattr(other + "/d/f", "user.a") == b"1"
        file.write("more"); file.close()
        assert read(other + "/d/f") == "x" * 200000 + "more"
        os.link("d/f", "g"); assert os.stat("d/f").st_nlink == 2
        with os.fdopen(os.open(".", os.O_TMPFILE | os.O_RDWR), "r+") as file:
            file.write("short")
            with refused("EEXIST"): name_again(file, "g")
            name_again(file, "h"); name_again(file, "i")
            assert os.fstat(file.fileno()).st_nlink == 2
        assert read("h") == "short" and read(other + "/i") == "short"
        with os.fdopen(os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL), "r+") as file:
            with refused("ENOENT"): name_again(file, "j")
        with refused("EINVAL"): os.open(".", os.O_TMPFILE | os.O_RDONLY)
        for i in range(20): os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY))
        assert sorted(os.listdir(".")) == ["d", "g", "h", "i"]
        """)
    }

    @Test(.needsFuse) func whatIsOpenAndRemoved() async throws {
      try await PosixScript.run(
        """
        def gone(fd):
            time.sleep(1.1)                 # the kernel's own memory is over
            assert os.fstat(fd).st_nlink == 0
        write("f", "x"); os.link("f", "g"); os.setxattr("f", "user.a", b"1")
        with open("f", "r+") as file:
            os.unlink("f"); os.unlink("g"); gone(file.fileno())
            assert os.getxattr(file.fileno(), "user.a") == b"1"
            file.write("longer"); file.flush(); os.ftruncate(file.fileno(), 3)
            file.seek(0); assert file.read() == "lon"
            os.fchmod(file.fileno(), 0o600); os.utime(file.fileno(), ns=(5, 7))
            found = os.fstat(file.fileno())
            assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_size) == (0o600, 7, 3)
        os.mkdir("d"); fd = os.open("d", os.O_RDONLY); os.rmdir("d"); gone(fd)
        assert os.listdir(fd) == []
        with refused("ENOENT"): os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.close(fd)
        os.mkdir("d"); os.mkdir("e"); fd = os.open("e", os.O_RDONLY); os.rename("d", "e"); gone(fd)
        os.mkdir("w"); os.chdir("w"); os.rmdir("../w"); gone(os.open(".", os.O_PATH)); os.chdir("/")
        """)
    }
  }

  /// Programs that carry everything over: hard links, owners, times, extended attributes.
  @Suite struct PosixPrograms {
    @Test(.needsFuse, .needsRoot) func rsyncAndTarOfEverything() async throws {
      try await MountedCluster.run(
        mounts: 2, mountOptions: "allow_other,default_permissions"
      ) { cluster in
        try await cluster.shell.succeed(
          """
          mkdir -p $LOCAL/tree/a/b; cd $LOCAL/tree
          for i in $(seq 20); do head -c $((i * 5000)) /dev/urandom > a/f$i; done
          ln a/f1 hard1; ln a/f1 a/b/hard2; ln -s a/f2 link; ln -s nowhere a/broken
          mkfifo a/fifo; mknod a/null c 1 3; chown 1234:4321 a/f3 a/b; chown -h 1234:4321 link
          chmod 4755 a/f4; chmod 2775 a; chmod 1777 a/b; chmod 0 a/f5
          touch -d '2001-02-03 04:05:06.123456789 UTC' a/f6; touch -h -d '2002-01-01' link
          python3 -c '
          import os
          os.setxattr("a/f7", "user.note", b"v" * 3000); os.setxattr("a/b", "user.on/directory", b"")
          os.setxattr("a/f8", "trusted.t", b"t")
          os.setxattr("a/f9", "security.capability", b"\\1\\0\\0\\2" + b"\\0" * 16)'
          rsync -aHAX ./ $M/copy/
          changes=$(rsync -aHAX --itemize-changes ./ $M/copy/)
          [ -z "$changes" ] || { echo "the second rsync wanted: $changes" >&2; exit 1; }
          changes=$(rsync -aHAX --itemize-changes --checksum --delete ./ $M2/copy/)
          [ -z "$changes" ] || { echo "by the other mount rsync wanted: $changes" >&2; exit 1; }
          [ $(stat -c %h $M/copy/hard1) = 3 ]
          tar --xattrs --xattrs-include='*' -cpf $LOCAL/all.tar -C $M/copy .
          mkdir $M/out; tar --xattrs --xattrs-include='*' -xpf $LOCAL/all.tar -C $M/out
          changes=$(rsync -aHAX --itemize-changes ./ $M/out/ | grep -v '^\\.[dL]\\.\\.t\\.* ' || true)
          [ -z "$changes" ] || { echo "after tar rsync wanted: $changes" >&2; exit 1; }
          cp -a $M/out $M/again
          changes=$(rsync -aHAX --itemize-changes ./ $M2/again/)
          [ -z "$changes" ] || { echo "after cp rsync wanted: $changes" >&2; exit 1; }
          rm -r $M/copy $M/out $M/again; [ -z "$(ls -A $M2)" ]
          """, seconds: 200)
      }
    }
  }
}
