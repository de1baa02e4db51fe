import DFSClient
import DFSCore
import DFSMount
import DFSTestSupport
import Foundation
import Synchronization
import Testing

extension OnAMount {
  /// Answers that are given while something else is being done with the same file, and work that goes on
  /// after its answer.
  @Suite struct Overtaken {
    /// Where what could not be stored would be kept.
    private func kept(_ mounted: Mounted) throws -> [String] {
      try KeptFiles(cache: mounted.directory + "/cache1", limit: 1 << 30).list().map(\.path)
    }

    /// What was stored already is brought to stable storage under a new version; who opens the file in
    /// that moment has the same content as all, and sees what they write.
    @Test(.needsFuse) func anOpenDuringAnFsyncSeesWhatIsWritten() async throws {
      try await Mounted.run { mounted in
        mounted.files.set { $0.answerDelay = .milliseconds(300) }
        try await mounted.succeed(
          """
          python3 - "$M/f" <<'END'
          import os, sys, threading, time
          name = sys.argv[1]
          first = os.open(name, os.O_RDWR | os.O_CREAT)
          for i in range(5):
              os.pwrite(first, b"a" * 1000, i * 2000)
              os.close(os.dup(first))
              syncing = threading.Thread(target=os.fsync, args=(first,))
              syncing.start()
              time.sleep(0.1)
              second = os.open(name, os.O_RDWR | os.O_CREAT)
              syncing.join()
              os.pwrite(first, b"b" * 1000, i * 2000 + 1000)
              assert os.pread(second, 1000, i * 2000 + 1000) == b"b" * 1000
              assert os.stat(name).st_size == os.fstat(second).st_size == (i + 1) * 2000
              os.close(second)
          END
          """)
        #expect(mounted.files.state.withLock { $0.entries[.root]?.count } == 1)
      }
    }

    /// What waits to be written while the file is being stored is in the kernel's pages already. If another opens the
    /// file, the kernel drops these, and reads what was there before; who wrote sees it afterwards all the same.
    @Test(.needsFuse) func whatIsWrittenDuringACloseIsReadAfterwards() async throws {
      try await Mounted.run { mounted in
        mounted.files.set { $0.publishDelay = .milliseconds(500) }
        try await mounted.succeed(
          """
          python3 - "$M/f" <<'END'
          import os, sys, threading, time
          name = sys.argv[1]
          fd = os.open(name, os.O_RDWR | os.O_CREAT)
          os.pwrite(fd, b"a" * 8192, 0)
          closing = threading.Thread(target=os.close, args=(os.dup(fd),))
          closing.start()
          time.sleep(0.1)
          writing = threading.Thread(target=os.pwrite, args=(fd, b"new", 4090))
          writing.start()
          time.sleep(0.1)
          other = os.open(name, os.O_RDONLY)
          before = os.pread(other, 6, 4090)
          assert closing.is_alive() and before == b"a" * 6, before
          writing.join()
          closing.join()
          assert os.pread(fd, 6, 4090) == os.pread(other, 6, 4090) == b"newaaa"
          END
          """)
      }
    }

    /// A time that is set while the content is being stored stays.
    @Test(.needsFuse) func timesThatAreSetDuringACloseStay() async throws {
      try await Mounted.run { mounted in
        mounted.files.set { $0.publishDelay = .milliseconds(300) }
        try await mounted.succeed(
          """
          python3 - "$M/f" <<'END'
          import os, sys, threading, time
          name = sys.argv[1]
          for i in range(5):
              fd = os.open(name, os.O_RDWR | os.O_CREAT)
              os.pwrite(fd, b"content", i)
              closing = threading.Thread(target=os.close, args=(fd,))
              closing.start()
              time.sleep(0.1)
              os.utime(name, ns=(10**18, 10**18 + i))
              closing.join()
              assert os.stat(name).st_mtime_ns == 10**18 + i
              fd = os.open(name, os.O_RDONLY)
              assert os.fstat(fd).st_mtime_ns == 10**18 + i
              os.close(fd)
          END
          """)
      }
    }

    /// Whoever removes a file while it is being stored here does not make its close fail.
    @Test(.needsFuse) func aFileIsRemovedWhileItIsClosed() async throws {
      try await Mounted.run { mounted in
        mounted.files.set { $0.publishDelay = .milliseconds(400) }
        try await mounted.succeed(
          """
          python3 - "$M" <<'END'
          import os, sys, threading, time
          folder = sys.argv[1]
          failures = []
          def close(fd):
              try: os.close(fd)
              except OSError as error: failures.append(error)
          for remove in (lambda: os.unlink(folder + "/f"),
                         lambda: os.rename(folder + "/other", folder + "/f")):
              os.close(os.open(folder + "/other", os.O_WRONLY | os.O_CREAT))
              fd = os.open(folder + "/f", os.O_WRONLY | os.O_CREAT)
              os.write(fd, b"content")
              closing = threading.Thread(target=close, args=(fd,))
              closing.start()
              time.sleep(0.1)
              remove()
              closing.join()
          assert not failures, failures
          END
          """)
        #expect(!mounted.log.text.contains("could not store"))
        #expect(try kept(mounted).isEmpty)
      }
    }

    /// What a program has written when a signal ends it is stored as if it had closed it.
    @Test(
      .needsFuse, arguments: ["TERM", "INT", "KILL"], [true, false])
    func whatAKilledProgramWroteIsStored(signal: String, isNew: Bool) async throws {
      try await Mounted.run { mounted in
        if !isNew { try await mounted.succeed("echo old > $M/f") }
        mounted.files.set { $0.publishDelay = .seconds(2) }
        try await mounted.succeed(
          """
          head -c 1000000 /dev/urandom > $LOCAL/content
          python3 -c '
          import os, signal, sys
          # Whoever runs the tests may ignore or block it.
          if signal.SIG\(signal) != signal.SIGKILL: signal.signal(signal.SIG\(signal), signal.SIG_DFL)
          signal.pthread_sigmask(signal.SIG_SETMASK, [])
          fd = os.open(sys.argv[1] + "/f", os.O_WRONLY | os.O_CREAT)
          os.write(fd, open(sys.argv[2] + "/content", "rb").read())
          os.kill(os.getpid(), signal.SIG\(signal))' "$M" "$LOCAL" || true
          cmp $LOCAL/content $M/f
          for i in $(seq 100); do [ "$(cat $M/f | md5sum)" = "$(md5sum < $LOCAL/content)" ]; sleep 0.02; done
          """)
        try await eventually("it is stored") {
          mounted.files.state.withLock { $0.publishes } == (isNew ? 1 : 2)
        }
        try await mounted.succeed("cmp $LOCAL/content $M/f")
        #expect(try kept(mounted).isEmpty)
        #expect(!mounted.log.text.contains("error"), "\(mounted.log.text)")
      }
    }

    /// So it is if the file system is unmounted before that has come to its end.
    @Test(.needsFuse) func unmountingWaitsForWhatAKilledProgramWrote() async throws {
      let files = MemoryFiles()
      try await Mounted.run(files) { mounted in
        mounted.files.set { $0.publishDelay = .seconds(1) }
        try await mounted.succeed(
          """
          python3 -c '
          import os, signal, sys
          fd = os.open(sys.argv[1] + "/f", os.O_WRONLY | os.O_CREAT)
          os.write(fd, b"content")
          os.kill(os.getpid(), signal.SIGKILL)' "$M" || true
          """)
        await mounted.mounts[0].stop(within: .seconds(5))
        #expect(try kept(mounted).isEmpty)
        #expect(!mounted.log.text.contains("error"), "\(mounted.log.text)")
      }
      let sizes = files.state.withLock { state in
        state.inodes.values.filter { $0.kind == .regular }.map { $0.version?.size }
      }
      #expect(sizes == [7])
    }

    /// What truncate(2) has cut is stored, though its process is killed.
    @Test(.needsFuse) func whatAKilledProgramCutIsStored() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed("head -c 100000 /dev/urandom > $M/f")
        mounted.files.set { $0.publishDelay = .seconds(1) }
        try await mounted.succeed(
          """
          truncate -s 10 $M/f & sleep 0.3; kill -KILL $!; wait $! || true
          for i in $(seq 100); do [ $(stat -c %s $M/f) = 10 ]; sleep 0.02; done
          """)
        let sizes = mounted.files.state.withLock { state in
          state.inodes.values.filter { $0.kind == .regular }.map(\.size)
        }
        #expect(sizes == [10])
        #expect(try kept(mounted).isEmpty)
      }
    }

    /// A rename that was answered in its place, since it took too long, and is done all the same: the
    /// kernel does not go on with the names that it knew.
    @Test(.needsFuse) func whatIsDoneTooLateIsSeen() async throws {
      try await Mounted.run(configure: { $0.callTimeoutSeconds = 1 }) { mounted in
        try await mounted.succeed("echo a > $M/a; sleep 1.1; stat $M/a")
        mounted.files.set { $0.answerDelay = .seconds(3) }
        let rename = "import os, sys; os.rename(sys.argv[1] + \"/a\", sys.argv[1] + \"/b\")"
        #expect(try await mounted.fail("python3 -c '\(rename)' $M").contains("timed out"))
        try await mounted.succeed(
          """
          for i in $(seq 100); do if [ ! -e $M/a ]; then break; fi; sleep 0.02; done
          [ ! -e $M/a ]; [ "$(cat $M/b)" = a ]
          """)
      }
    }
  }
}
