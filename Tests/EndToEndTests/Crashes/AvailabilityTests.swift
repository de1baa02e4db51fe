import DFSCore
import DFSSystem
import DFSTestSupport
import Testing

extension EndToEnd {
  /// Servers that are down: exactly what docs/ARCHITECTURE.md says is readable, listed and marked.
  @Suite struct Availability {
    struct Sample: Sendable {
      let name: String
      let bytes: [UInt8]

      /// What the table says of this file when only `up` answer. A part without bytes needs no
      /// server.
      func isReadable(with up: ServerSet) -> Bool {
        let split = Split(size: UInt64(bytes.count))
        return Placement(md5: .of(bytes)).missingParts(on: up)
          .allSatisfy { split.length(of: $0) == 0 }
      }
    }

    /// Small and large files of every row of the table, and the empty file.
    static func samples() -> [Sample] {
      var samples = [Sample(name: "empty", bytes: [])]
      for x in 0..<4 {
        samples.append(Sample(name: "three-\(x)", bytes: Content.random(3, placedBy: x)))
        samples.append(Sample(name: "small-\(x)", bytes: Content.random(5000, placedBy: x)))
        samples.append(Sample(name: "large-\(x)", bytes: Content.random(700_000, placedBy: x)))
      }
      return samples
    }

    static func subsets(of count: Int) -> [ServerSet] {
      (0..<16).map { ServerSet(rawValue: $0) }.filter { $0.count == count }
    }

    private static func store(_ samples: [Sample], in cluster: MountedCluster) async throws {
      for sample in samples {
        try Content.write(sample.bytes, to: cluster.local + "/" + sample.name)
      }
      try await cluster.shell.succeed("cp $LOCAL/* $M/; sync $M")
    }

    /// Every file that can be read is read right, through both clients; every other is marked, refused
    /// with status 4, and gives no byte that is wrong.
    private static func check(
      _ samples: [Sample], up: ServerSet, in cluster: MountedCluster
    ) async throws {
      let list = try await cluster.shell.succeed("dfc $CONF list", "with \(up) up")
      let expected = samples.map { $0.isReadable(with: up) ? $0.name : $0.name + " [incomplete]" }
      #expect(
        list.output.split(separator: "\n").map(String.init).sorted() == expected.sorted(),
        "with \(up) up")
      try await cluster.forget("$M/*")
      for sample in samples {
        let name = sample.name
        if sample.isReadable(with: up) {
          try await cluster.shell.succeed(
            "rm -f $LOCAL/got; dfc $CONF get \(name) $LOCAL/got; cmp $LOCAL/\(name) $LOCAL/got; "
              + "cmp $LOCAL/\(name) $M/\(name)", "with \(up) up")
        } else {
          let refused = try await cluster.shell.fail(
            "rm -f $LOCAL/got*; dfc $CONF get \(name) $LOCAL/got", status: 4)
          #expect((refused.output + refused.errors).contains("File is incomplete."))
          try await cluster.shell.succeed("test -z \"$(ls $LOCAL | grep got)\"")
          try await cluster.shell.fail("cat $M/\(name) > /dev/null")
        }
      }
    }

    /// Any one server lost: everything is readable and whole; nothing can be written, at once.
    @Test(.needsFuse) func anyOneServerDown() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        let samples = Self.samples()
        try await Self.store(samples, in: cluster)
        for server in ServerIndex.all {
          try await cluster.servers.kill(server)
          let up = ServerSet.all.subtracting(ServerSet([server]))
          try await Self.check(samples, up: up, in: cluster)
          let put = try await cluster.shell.fail(
            "cp $LOCAL/small-0 $LOCAL/refused; timeout 10 dfc $CONF put $LOCAL/refused", status: 5)
          #expect(put.errors.contains("\(server)"), "the refusal names the server: \(put.errors)")
          try await cluster.shell.fail("echo no > $M/refused")
          try await cluster.shell.fail("echo no >> $M/small-0")
          try await cluster.shell.succeed("rm $LOCAL/refused")
          try await cluster.servers.restart(server)
          try await cluster.waitUntilWritable()
          try await cluster.shell.succeed("test ! -e $M/refused; cmp $LOCAL/small-0 $M/small-0")
        }
      }
    }

    /// Any two servers lost: opposite ones cost nothing, neighbours cost the parts that only they
    /// held. The mount is read-only.
    @Test(.needsFuse) func anyTwoServersDown() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        let samples = Self.samples()
        try await Self.store(samples, in: cluster)
        for down in Self.subsets(of: 2) {
          for server in down.servers { try await cluster.servers.kill(server) }
          try await Self.check(samples, up: ServerSet.all.subtracting(down), in: cluster)
          let refused = try await cluster.shell.fail("echo no > $M/refused")
          #expect(refused.errors.contains("Read-only file system"))
          let opposite = down == ServerSet(rawValue: 0b0101) || down == ServerSet(rawValue: 0b1010)
          let readable = samples.filter { $0.isReadable(with: ServerSet.all.subtracting(down)) }
          #expect(opposite == (readable.count == samples.count), "with \(down) down")
          for server in down.servers { try await cluster.servers.restart(server) }
          try await cluster.waitUntilWritable()
        }
      }
    }

    /// With one server left the names can still be listed; with none it is said within a limit.
    @Test(.needsFuse) func threeAndFourServersDown() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        let samples = Self.samples()
        try await Self.store(samples, in: cluster)
        for down in Self.subsets(of: 3) {
          for server in down.servers { try await cluster.servers.kill(server) }
          let list = try await cluster.shell.succeed("dfc $CONF list", "with \(down) down")
          for sample in samples { #expect(list.output.contains(sample.name)) }
          for server in down.servers { try await cluster.servers.restart(server) }
        }
        for server in ServerIndex.all { try await cluster.servers.kill(server) }
        try await cluster.shell.fail("dfc $CONF list", seconds: 20, status: 5)
        try await cluster.shell.fail("timeout 35 cat $M/large-0", seconds: 40)
        for server in ServerIndex.all { try await cluster.servers.restart(server) }
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed("cmp $LOCAL/large-0 $M/large-0")
      }
    }

    /// Promise 8: a server killed or frozen under a read that is going on; the read goes on with the
    /// right bytes. The reader itself strikes after a quarter of the file.
    @Test(.needsFuse, arguments: ["KILL", "STOP"], ServerIndex.all)
    func aServerFailsUnderARead(signal: String, server: ServerIndex) async throws {
      try await MountedCluster.run { cluster in
        let result = try await cluster.shell.succeed(
          """
          head -c 40000000 /dev/urandom > $LOCAL/f
          cp $LOCAL/f $M/f
          dd if=$M/f iflag=nocache count=0 status=none
          cat > $LOCAL/read.py <<'END'
          import os, subprocess, sys, time
          mine, theirs = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb")
          longest, struck, total = 0, False, 0
          while True:
              begin = time.monotonic()
              data = os.read(mine, 65536)
              longest = max(longest, time.monotonic() - begin)
              assert data == theirs.read(65536), f"wrong bytes at {total}"
              total += len(data)
              if not data: break
              if total > 10_000_000 and not struck:
                  struck = True
                  subprocess.run(["kill", "-" + sys.argv[3], sys.argv[4]], check=True)
          assert total == 40_000_000
          print(f"{longest:.3f}")
          END
          python3 $LOCAL/read.py $M/f $LOCAL/f \(signal) $(server_pid \(server))
          """)
        let longest = try #require(Double(result.line))
        #expect(longest < 2.5, "the longest read took \(longest) s")
      }
    }
  }
}
