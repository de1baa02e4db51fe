import DFSConfiguration
import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// Promise 8: whatever combination of servers is killed, frozen or cut off, every call on the mount
  /// ends within `Call-Timeout`, with an error that means it; and when the servers are back, the same
  /// mount works as before.
  @Suite struct Deadlines {
    enum Loss: Sendable {
      case killed, frozen
      /// As if the cable were pulled: nothing answers, not even the machine.
      case cutOff
    }

    struct Row: Sendable, CustomTestStringConvertible {
      let losses: [(ServerIndex, Loss)]
      var testDescription: String {
        losses.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
      }

      /// Servers from the first on, of which each is lost so.
      init(_ losses: [Loss], from first: Int = 0) {
        let servers = ServerIndex.all
        self.losses = losses.enumerated().map { (servers[(first + $0) % servers.count], $1) }
      }
    }

    static let rows = [
      Row([.frozen], from: 1), Row([.cutOff], from: 2), Row([.frozen, .frozen], from: 3),
      Row([.frozen, .cutOff]), Row([.killed, .frozen, .cutOff], from: 1),
      Row([.frozen, .frozen, .frozen]), Row([.killed, .killed, .killed, .killed]),
      Row([.cutOff, .cutOff, .cutOff, .cutOff]), Row([.frozen, .frozen, .frozen, .frozen]),
    ]

    @Test(.needsFuse, arguments: rows) func everyCallEnds(row: Row) async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.succeed(
          """
          printf 'Call-Timeout 5s\\nConnect-Timeout 2s\\n' >> $CONF
          cat > $LOCAL/calls.py <<'END'
          \(Self.calls)
          END
          cat > $LOCAL/cut.py <<'END'
          \(Self.cut)
          END
          """)
        try await cluster.startMount(cluster.mount)
        try await cluster.shell.succeed(
          "python3 $LOCAL/calls.py make $M; dfs-mount --unmount $M")
        // Nothing of it is in the kernel's memory or in the mount's.
        try await cluster.startMount(cluster.mount)
        for (server, loss) in row.losses {
          switch loss {
          case .killed: try await cluster.servers.kill(server)
          case .frozen: cluster.servers.freeze(server)
          case .cutOff:
            try await cluster.servers.kill(server)
            let port = cluster.servers.addresses[server.value].port
            try await cluster.shell.succeed(
              """
              python3 $LOCAL/cut.py \(port) & echo $! >> $LOCAL/cut
              for i in $(seq 100); do [ -e $LOCAL/cut.\(port) ] && exit 0; sleep 0.1; done; exit 1
              """)
          }
        }
        try await cluster.shell.succeed(
          "python3 $LOCAL/calls.py lost $M 5 >&2", seconds: 90, "\(row.testDescription)")
        try await cluster.shell.succeed(
          """
          [ -e $LOCAL/cut ] || exit 0
          for process in $(cat $LOCAL/cut); do
            kill -KILL $process
            while kill -0 $process 2> /dev/null; do sleep 0.05; done
          done
          """)
        for (server, loss) in row.losses {
          if loss == .frozen {
            cluster.servers.thaw(server)
          } else {
            try await cluster.servers.restart(server)
          }
        }
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed(
          "python3 $LOCAL/calls.py back $M 5 >&2", seconds: 60, "back: \(row.testDescription)")
      }
    }

    /// A port on which nothing answers: its queue of connections is full, so that the kernel drops
    /// what asks for another, as a machine does that is not there.
    private static let cut = """
      import os, socket, sys, time
      # So that nobody waits for the end of this process.
      os.closerange(3, 100)
      port = int(sys.argv[1])
      closed = socket.socket()
      closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      closed.bind(("127.0.0.1", port))
      closed.listen(0)
      filling = []
      while True:
          filling.append(socket.socket())
          filling[-1].settimeout(0.3)
          try: filling[-1].connect(("127.0.0.1", port))
          except TimeoutError: break
      open(os.path.dirname(os.path.abspath(__file__)) + "/cut." + sys.argv[1], "w").close()
      time.sleep(300)
      """

    /// Every kind of call, all in one directory and at once, each program timing its own.
    private static let calls = """
      import errno, fcntl, mmap, os, socket, sys, time
      what, mount = sys.argv[1:3]
      os.chdir(mount)
      names = ["read", "write", "append", "moved", "gone", "cut", "chmod", "times", "linked",
               "attr", "synced", "mapped", "from"]
      if what in ("make", "back"):
          for name in names:
              with open(name, "wb") as file: file.write(name.encode() * 60000)
          for name in ("was", "linked-too", "new", "socket", "symlink"):
              if os.path.lexists(name): os.unlink(name)
          for name in ("directory", "empty"):
              if not os.path.isdir(name): os.mkdir(name)
          if os.path.isdir("made"): os.rmdir("made")
          os.setxattr("attr", "user.a", b"1")
      if what == "make": sys.exit()
      def timed(call, *arguments):
          begin = time.monotonic()
          try: result, number = call(*arguments), 0
          except OSError as error: result, number = None, error.errno
          took = time.monotonic() - begin
          spent.append((took, call.__name__, number))
          return result
      def opened(name, flags, *then):
          file = timed(os.open, name, flags, 0o644)
          if file is None: return
          for call, *arguments in then: timed(call, file, *arguments)
          timed(os.close, file)
      def lock(file): fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      def punch(file): os.posix_fallocate(file, 0, 1000)
      def copy(file):
          source = timed(os.open, "from", os.O_RDONLY)
          if source is None: return
          try: os.copy_file_range(source, file, 5000)
          finally: os.close(source)
      def mapped(file):
          with mmap.mmap(file, 4096) as memory: memory[0:3] = b"map"
      programs = {
          # ("moved" and "gone" are those of another program, which may be first.)
          "stat": lambda: [timed(os.stat, name) for name in names if name not in ("moved", "gone")],
          "absent": lambda: timed(os.path.lexists, "never-there"),
          "list": lambda: [timed(os.listdir, "."), timed(os.listdir, "directory")],
          "read": lambda: opened("read", os.O_RDONLY, (os.read, 100000), (os.pread, 10, 500000)),
          "write": lambda: opened("write", os.O_WRONLY, (os.write, b"w" * 500000)),
          "truncate": lambda: opened("write", os.O_WRONLY | os.O_TRUNC, (os.write, b"short")),
          "append": lambda: opened("append", os.O_WRONLY | os.O_APPEND, (os.write, b"line")),
          "create": lambda: opened("new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, (os.write, b"n")),
          "sync": lambda: opened("synced", os.O_RDWR, (os.write, b"sync"), (os.fsync,)),
          "allocate": lambda: opened("synced", os.O_RDWR, (lock,), (punch,), (copy,)),
          "map": lambda: opened("mapped", os.O_RDWR, (mapped,)),
          "cut": lambda: timed(os.truncate, "cut", 1000),
          "directory": lambda: [timed(os.mkdir, "made"), timed(os.rmdir, "empty")],
          "names": lambda: [timed(os.rename, "moved", "was"), timed(os.link, "linked", "linked-too"),
                            timed(os.unlink, "gone"), timed(os.symlink, "to", "symlink"),
                            timed(os.readlink, "symlink"), timed(os.mkfifo, "socket")],
          "inode": lambda: [timed(os.chmod, "chmod", 0o600), timed(os.utime, "times"),
                            timed(os.access, "chmod", os.W_OK)],
          "attributes": lambda: [timed(os.setxattr, "attr", "user.b", b"2"),
                                 timed(os.getxattr, "attr", "user.a"),
                                 timed(os.listxattr, "attr"),
                                 timed(os.getxattr, "attr", "user.dfs.health"),
                                 timed(os.removexattr, "attr", "user.a")],
          "space": lambda: timed(os.statvfs, "."),
      }
      limit = float(sys.argv[3])
      mean = {errno.EROFS, errno.ETIMEDOUT, errno.EIO}
      # What follows from another call's failure, or of another program.
      follows = {errno.ENOENT, errno.EEXIST, errno.ENODATA}
      children, problems = [], 0
      for name, program in programs.items():
          pid = os.fork()
          if pid == 0:
              spent, bad = [], 0
              program()
              for took, call, number in spent:
                  wrong = took > limit + 2 or number and (
                      what == "back" or number not in mean and number not in follows)
                  bad += wrong
                  if took > 1 or wrong:
                      told = errno.errorcode.get(number, "success")
                      print(f"{name}: {call} took {took:.2f} s: {told}", flush=True)
              os._exit(1 if bad else 0)
          children.append(pid)
      for pid in children: problems += os.waitpid(pid, 0)[1] != 0
      sys.exit(1 if problems else 0)
      """
  }
}
