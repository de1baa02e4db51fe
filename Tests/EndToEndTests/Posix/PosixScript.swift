import DFSCore
import Testing

/// Python programs that say what POSIX says, on a real mount with full ownership, as root.
enum PosixScript {
  /// Runs Python in the first mount, with what the scripts share; `other` is the second mount.
  static func run(
    mounts: Int = 1, _ script: String, at location: SourceLocation = #_sourceLocation
  ) async throws {
    try await MountedCluster.run(
      mounts: mounts, mountOptions: "allow_other,default_permissions"
    ) { cluster in
      try await cluster.shell.succeed(
        """
        cat > $LOCAL/common.py <<'END'
        \(Self.common)
        END
        chmod 755 $DIR $LOCAL $M
        cd $M
        (cat $LOCAL/common.py; cat) > $LOCAL/test.py <<'END'
        \(script)
        END
        python3 $LOCAL/test.py
        """, seconds: 120, at: location)
    }
  }

  private static let common = """
    import ctypes, errno, os, socket, stat, struct, subprocess, sys, time
    libc = ctypes.CDLL(None, use_errno=True)
    other = os.environ.get("M2")

    def refused(*names):
        class Refused:
            def __enter__(self): return self
            def __exit__(self, kind, error, trace):
                assert isinstance(error, OSError), "it was not refused: %r" % error
                found = errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")
                assert found in names, "%s instead of %s" % (found, names)
                return True
        return Refused()

    def renameat2(old, new, flags):
        result = libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags)
        if result != 0: raise OSError(ctypes.get_errno(), "renameat2")

    def soon(body):
        # What another mount did is seen within a second, though nothing is opened.
        end = time.time() + 1
        while not body():
            assert time.time() < end, "it is not seen within a second"
            time.sleep(0.01)

    def attribute(path, name):
        try: return os.getxattr(path, name)
        except OSError: return None

    def name_again(file, path):
        # Gives an open file a name, through /proc.
        old = b"/proc/self/fd/%d" % file.fileno()
        if libc.linkat(-100, old, -100, os.fsencode(path), 0x400) != 0:
            raise OSError(ctypes.get_errno(), "linkat")

    def write(path, text):
        with open(path, "w") as file: file.write(text)

    def read(path):
        with open(path) as file: return file.read()

    def user(number, groups, body):
        # Runs body as a user without rights, in a process of its own.
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups(groups[1:]); os.setgid(groups[0]); os.setuid(number)
                body()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc(); os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    """
}
