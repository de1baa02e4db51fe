import DFSClient
import DFSConfiguration
import DFSCore
import DFSMount
import Synchronization
import Testing

extension OnAMount {
  /// What happens when storing fails, and when nothing answers.
  @Suite struct Failures {
    @Test(.needsFuse) func closeTellsTheTruth() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed("echo old > $M/old; echo new > $LOCAL/new")
        mounted.files.set { $0.refusal = DFSError(.noSpace, "DFS2 is full") }
        let refused = try await mounted.fail("cp $LOCAL/new $M/new")
        #expect(refused.contains("No space left"))
        try await mounted.fail("cp $LOCAL/new $M/old")
        try await mounted.fail("dd if=$LOCAL/new of=$M/old oflag=append conv=notrunc,fsync")
        #expect(mounted.log.text.contains("DFS2 is full"))
        #expect(mounted.log.text.contains("'new'"))
        mounted.files.set { $0.refusal = nil }
        try await mounted.succeed("[ ! -e $M/new ]; [ $(cat $M/old) = old ]; echo new > $M/new")
      }
    }

    /// What was written through the kernel's pages and could not be stored is not the old content.
    @Test(.needsFuse) func aFailedCloseLeavesNothingInTheKernelsPages() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          head -c 300000 /dev/urandom > $LOCAL/old; head -c 200000 /dev/urandom > $LOCAL/new
          cp $LOCAL/old $M/f; cmp $LOCAL/old $M/f; cmp $LOCAL/old $M/f
          """)
        mounted.files.set { $0.refusal = DFSError(.timedOut, "no three servers answer") }
        try await mounted.fail("dd if=$LOCAL/new of=$M/f conv=notrunc bs=64k")
        try await mounted.fail("cp $LOCAL/new $M/f")
        mounted.files.set { $0.refusal = nil }
        try await mounted.succeed("for i in 1 2 3; do cmp $LOCAL/old $M/f; done")
      }
    }

    @Test(.needsFuse) func errorsMeanWhatTheySay() async throws {
      let cases: [(DFSError.Code, String)] = [
        (.serversMissing, "Read-only file system"), (.readOnly, "Read-only file system"),
        (.timedOut, "timed out"), (.quotaExceeded, "quota exceeded"),
        (.inputOutput, "Input/output error"), (.damaged, "Input/output error"),
      ]
      try await Mounted.run { mounted in
        try await mounted.succeed("echo new > $LOCAL/x")
        for (code, words) in cases {
          mounted.files.set { $0.refusal = DFSError(code, "a reason") }
          #expect(try await mounted.fail("cp $LOCAL/x $M/x").contains(words), "\(code)")
          mounted.files.set { $0.refusal = nil }
          try await mounted.succeed("echo x > $M/x; rm $M/x")
        }
      }
    }

    @Test(.needsFuse) func aServerDownRefusesAWriteAtItsBegin() async throws {
      try await Mounted.run(configure: { $0.writes = .all }) { mounted in
        try await mounted.succeed("echo old > $M/old")
        mounted.files.set { state in
          state.states = ServerIndex.all.map { server in
            ServerState(
              server: server,
              address: ServerAddress(name: "\(server)", host: "127.0.0.1", port: 1000),
              isUp: server.value != 2,
              problem: server.value == 2
                ? DFSError(.disconnected, "DFS3 (127.0.0.1:1000): refused") : nil)
          }
        }
        for script in ["echo x > $M/new", "echo x >> $M/old", "truncate -s 1 $M/old"] {
          #expect(try await mounted.fail(script).contains("Read-only file system"), "\(script)")
        }
        // One line each, with the path.
        for line in ["create 'new' is refused: ", "open 'old' is refused: "] {
          #expect(mounted.log.text.contains("warning " + line), "\(mounted.log.text)")
        }
        #expect(mounted.log.text.contains("DFS3 (127.0.0.1:1000): refused"))
        try await mounted.succeed("[ $(cat $M/old) = old ]; [ ! -e $M/new ]; mkdir $M/d")
      }
    }

    /// What is refused is in the log, with its path; who tries again and again does not fill it.
    @Test(.needsFuse) func refusalsAreLoggedWithTheirPathAndDoNotFlood() async throws {
      try await Mounted.run(configure: { $0.spoolBytes = 1 << 20 }) { mounted in
        try await mounted.succeed("mkdir -p $M/d/e; echo x > $LOCAL/x; echo x > $M/d/e/synced")
        try await mounted.fail("head -c 4000000 /dev/zero > $M/d/e/full")
        #expect(mounted.log.text.contains("warning write 'd/e/full' is refused: "))
        for (code, number) in [
          (DFSError.Code.noSpace, 28), (.quotaExceeded, 122), (.timedOut, 110), (.inputOutput, 5),
          (.serversMissing, 30),
        ] {
          mounted.files.set { $0.refusal = DFSError(code, "reason \(number)") }
          try await mounted.fail("cp $LOCAL/x $M/d/e/closed\(number)")
          try await mounted.fail("dd if=$LOCAL/x of=$M/d/e/synced conv=notrunc,fsync status=none")
          for name in ["closed\(number)", "synced"] {
            let line = "error could not store 'd/e/\(name)', 2 bytes: "
            let isLogged = mounted.log.text.split(separator: "\n").contains {
              $0.hasPrefix(line) && $0.contains("reason \(number)")
            }
            #expect(isLogged, "\(line)\n\(mounted.log.text)")
          }
        }
        let before = mounted.log.text.split(separator: "\n").count
        try await mounted.succeed(
          "for i in $(seq 500); do cp $LOCAL/x $M/d/again 2> /dev/null && exit 1; done; exit 0")
        mounted.files.set { $0.refusal = nil }
        let lines = mounted.log.text.split(separator: "\n").count - before
        #expect(lines < 200, "\(lines) lines of log for 500 refusals")
        let end = ContinuousClock.now + .seconds(10)
        while !mounted.log.text.contains("more refusals are not listed"), ContinuousClock.now < end
        {
          try await Task.sleep(for: .milliseconds(50))
        }
        #expect(mounted.log.text.contains("more refusals are not listed"))
      }
    }

    @Test(.needsFuse) func aFullSpoolIsNoSpace() async throws {
      try await Mounted.run(configure: { $0.spoolBytes = 3 << 20 }) { mounted in
        try await mounted.succeed("head -c 2000000 /dev/urandom > $M/fits")
        let full = try await mounted.fail("head -c 4000000 /dev/urandom > $M/full")
        #expect(full.contains("No space left"))
        try await mounted.succeed(
          "head -c 2500000 /dev/zero > $M/again; [ $(stat -c %s $M/again) = 2500000 ]")
      }
    }

    @Test(.needsFuse) func aCallEndsInTime() async throws {
      try await Mounted.run(configure: { $0.callTimeoutSeconds = 1 }) { mounted in
        try await mounted.succeed("head -c 100000 /dev/urandom > $M/f; cp $M/f $LOCAL/g")
        mounted.files.set { $0.readDelay = .seconds(8) }
        try await mounted.succeed("dd if=$M/f iflag=nocache count=0 status=none")
        mounted.files.set { $0.publishDelay = .seconds(8) }
        let late = try await mounted.fail("cp $LOCAL/g $M/late", seconds: 4)
        #expect(late.contains("timed out"))
        mounted.files.set {
          $0.publishDelay = .zero
          $0.readDelay = .zero
        }
        try await mounted.succeed("echo x > $M/x; [ $(cat $M/x) = x ]")
      }
    }

    @Test(.needsFuse) func aWaitingCallCanBeKilled() async throws {
      try await Mounted.run { mounted in
        mounted.files.set { $0.publishDelay = .seconds(6) }
        try await mounted.succeed(
          """
          bash -c 'echo x > $M/slow' & process=$!
          sleep 0.5
          kill -KILL $process
          begin=$(date +%s%N)
          wait $process || true
          [ $((($(date +%s%N) - begin) / 1000000)) -lt 2000 ]
          """)
        mounted.files.set { $0.publishDelay = .zero }
      }
    }

    @Test(.needsFuse) func onlyChangesAreStored() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed("echo x > $M/f")
        let before = mounted.files.state.withLock { $0.publishes }
        try await mounted.succeed(
          "cat $M/f; : < $M/f; exec 3<> $M/f; exec 3>&-; exec 3>> $M/f; exec 3>&-")
        #expect(mounted.files.state.withLock { $0.publishes } == before)
        try await mounted.succeed("dd if=/dev/zero of=$M/g bs=1k count=1 conv=fsync status=none")
        #expect(
          mounted.files.state.withLock { ($0.publishes - before, $0.durablePublishes) } == (1, 1))
      }
    }

    @Test(.needsFuse) func aHeadReadsLittleAndASequenceReadsAhead() async throws {
      let files = MemoryFiles()
      try await Mounted.run(files) { mounted in
        try await mounted.succeed("head -c 30000000 /dev/urandom > $M/f; cp $M/f $LOCAL/f")
      }
      try await Mounted.run(files) { mounted in
        let before = files.state.withLock { $0.bytesRead }
        try await mounted.succeed("head -c 1000 $M/f > /dev/null")
        #expect(files.state.withLock { $0.bytesRead } - before <= 4 << 20)
        try await mounted.succeed("cat $M/f | md5sum > $LOCAL/a; [ $(stat -c %s $M/f) = 30000000 ]")
        #expect(files.state.withLock { $0.bytesRead } - before < 50_000_000)
      }
    }
  }
}
