import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// As services of systemd, and as a line of fstab: what the files in conf/ and scripts/ make of it.
  @Suite struct Services {
    /// Starts a program as a manager does; its output is not looked at.
    private static func start(_ program: String, _ arguments: [String], _ shell: Shell) throws
      -> Process
    {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: BuiltProgram.path(program))
      process.arguments = arguments
      process.environment = shell.environment
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      return process
    }

    /// A server tells its manager when it listens and when it ends.
    @Test(arguments: ["path", "abstract"]) func aServerTellsItsManager(_ kind: String) async throws
    {
      let directory = NSTemporaryDirectory() + "dfs-service-" + UUID().uuidString
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let name = kind == "path" ? directory + "/notify" : "@dfs-\(UUID().uuidString)"
      let socket = try ManagerSocket(name)
      let shell = Shell(["NOTIFY_SOCKET": name])
      try await shell.succeed("echo 'Alice x' > \(directory)/dfs.conf")
      let server = try Self.start("dfs", [directory + "/DFS1", "0"], shell)
      defer { kill(server.processIdentifier, SIGKILL) }
      let ready = try await socket.next()
      #expect(ready.first == "READY=1")
      let port = ready.last?.split(separator: ":").last.map(String.init) ?? ""
      #expect(ready.last == "STATUS=listens on 127.0.0.1:\(port)")
      try await shell.succeed("exec 3<> /dev/tcp/127.0.0.1/\(port)")
      server.terminate()
      #expect(
        try await socket.next().prefix(2) == ["STOPPING=1", "STATUS=finishing what is under way"])
      try await eventually("the server ends", within: .seconds(20)) { !server.isRunning }
      #expect(server.terminationStatus == 0)
      #expect(socket.isSilent)
    }

    /// A mount tells its manager when it answers and when it ends.
    @Test(.needsFuse) func aMountTellsItsManager() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.endMount(cluster.mount)
        let socket = try ManagerSocket(cluster.local + "/notify")
        var shell = cluster.shell
        shell.environment["NOTIFY_SOCKET"] = socket.name
        let arguments = ["-f", cluster.servers.configurationFile, cluster.mount]
        let mount = try Self.start("dfs-mount", arguments, shell)
        #expect(try await socket.next() == ["READY=1", "STATUS=mounted on \(cluster.mount)"])
        try await cluster.shell.succeed("mountpoint -q $M; echo kept > $M/f")
        mount.terminate()
        #expect(
          try await socket.next() == [
            "STOPPING=1", "STATUS=storing what was written", "EXTEND_TIMEOUT_USEC=40000000",
          ])
        try await eventually("it ends", within: .seconds(20)) { !mount.isRunning }
        // One that goes to the background is not the service that was started.
        try await shell.succeed("dfs-mount $CONF $M; [ $(cat $M/f) = kept ]")
        #expect(socket.isSilent)
      }
    }

    private static let hasAnalyzer = FileManager.default.isExecutableFile(
      atPath: "/usr/bin/systemd-analyze")

    /// What the units may do, as systemd counts it: 0 is nothing, 100 is everything. A mount needs
    /// more (its unit says what and why).
    @Test(
      .enabled(if: hasAnalyzer, "needs systemd-analyze, of Debian's package systemd"),
      arguments: [("dfs@", "DFS1", 20), ("dfs-mount@", "srv-files", 43)])
    func unitsAreValidAndHardened(_ unit: String, _ instance: String, _ limit: Int) async throws {
      let source = URL(fileURLWithPath: BuiltProgram.script("../conf/systemd/\(unit).service"))
        .standardizedFileURL.path
      let directory = NSTemporaryDirectory() + "dfs-units-" + UUID().uuidString
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let shell = Shell(["DIR": directory, "UNIT": source])
      // The programs are not installed here: those that were built stand for them.
      let said = try await shell.succeed(
        """
        mkdir $DIR; sed 's,/usr/bin/dfs,\(Shell.programs)/dfs,' $UNIT > $DIR/\(unit).service
        systemd-analyze verify --man=no $DIR/\(unit)\(instance).service
        """)
      #expect(said.output + said.errors == "")
      try await shell.succeed(
        "systemd-analyze security --offline=true --no-pager --threshold=\(limit) $UNIT")
    }

    /// Runs with the mount helper where mount(8) looks for it, for this script only.
    private static func withHelper(_ script: String) -> String {
      """
      mkdir -p $LOCAL/sbin; cp \(BuiltProgram.script("mount.fuse.dfs")) $LOCAL/sbin/
      ln -s \(BuiltProgram.path("dfs-mount")) $LOCAL/sbin/
      cat > $LOCAL/script <<'END'
      set -ex
      mount -t overlay -o lowerdir=$LOCAL/sbin:/usr/sbin overlay /usr/sbin
      \(script)
      END
      unshare --mount bash $LOCAL/script
      """
    }

    /// The line of fstab as it is shipped: an ordinary user works in his directory, and only there.
    @Test(.needsFuse, .needsRoot) func aLineOfFstabGivesAMountToWorkOn() async throws {
      let line = try #require(
        try String(contentsOfFile: BuiltProgram.script("mount.fuse.dfs"), encoding: .utf8)
          .split(separator: "\n").first { $0.contains(" fuse.dfs ") }
      ).drop { $0 == "#" || $0 == " " }
      try await MountedCluster.run { cluster in
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.succeed(
          Self.withHelper(
            """
            refused() { if "$@"; then echo "not refused: $*"; exit 9; fi; }
            as() { setpriv --reuid $1 --regid $1 --clear-groups bash -c "$2"; }
            chmod 755 $DIR
            echo "\(line)" | sed "s,^[^ ]* [^ ]*,$CONF $M," > $LOCAL/fstab
            mount -T $LOCAL/fstab -a
            mountpoint -q $M
            refused as 1000 'touch $M/refused'      # the root of the tree is root's, as on a new disk
            install -d -o 1000 -g 1000 $M/alice
            as 1000 'echo mine > $M/alice/f; mkdir -m 700 $M/alice/closed; echo x > $M/alice/closed/f'
            [ "$(stat -c %u:%g $M/alice/f)" = 1000:1000 ]
            [ "$(as 1001 'cat $M/alice/f')" = mine ]
            refused as 1001 'echo x >> $M/alice/f'
            refused as 1001 'cat $M/alice/closed/f'
            grep " $M " /proc/self/mounts | grep nosuid | grep nodev | grep -q default_permissions
            mount -T $LOCAL/fstab -a                # it is there: nothing happens
            [ $(grep -c " $M " /proc/self/mounts) = 1 ]
            umount $M
            mount -t fuse.dfs -o ro $CONF $M        # by hand; all belongs to who mounts
            [ "$(stat -c %u $M/alice/f)" = 0 ]
            umount $M
            """))
        try await cluster.startMount(cluster.mount)
      }
    }

    /// As a service has it: no HOME, nothing of XDG. What somebody planted is not followed.
    @Test(.needsFuse, .needsRoot) func withoutAHomeThereIsASafeCache() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/script <<'END'
          set -ex
          refused() { if "$@"; then echo "not refused: $*"; exit 9; fi; }
          # The programs may be below what is hidden.
          mkdir $LOCAL/bin; mount --bind "$(dirname "$(command -v dfs-mount)")" $LOCAL/bin
          export PATH=$LOCAL/bin:$PATH
          mount -t tmpfs tmpfs /var/cache; mount -t tmpfs -o mode=1777 tmpfs /var/tmp
          mkdir -m 777 $LOCAL/stolen
          bare="env -i PATH=$PATH"
          $bare dfs-mount $CONF $M; echo kept > $M/f; dfs-mount --unmount $M
          [ "$(stat -c %u:%a /var/cache/dfs)" = 0:700 ]
          [ -e /var/cache/dfs/mount-*.log ]
          rm -r /var/cache/dfs; ln -s $LOCAL/stolen /var/cache/dfs
          refused $bare dfs-mount $CONF $M 2> $LOCAL/said
          grep -q '/var/cache/dfs is a symbolic link' $LOCAL/said
          refused $bare dfc $CONF put - g < $CONF 2> $LOCAL/said
          grep -q '/var/cache/dfs is a symbolic link' $LOCAL/said
          refused $bare dfc $CONF recover 2> $LOCAL/said
          grep -q '/var/cache/dfs is a symbolic link' $LOCAL/said
          $bare CACHE_DIRECTORY=$LOCAL/unit dfs-mount $CONF $M
          [ $(cat $M/f) = kept ]; dfs-mount --unmount $M
          [ -e $LOCAL/unit/mount-*.log ]
          chmod 755 $DIR $LOCAL; cp $CONF $LOCAL/own.conf; chown 1000 $LOCAL/own.conf
          as="$bare setpriv --reuid 1000 --regid 1000 --clear-groups"
          echo y | $as dfc $LOCAL/own.conf put - h
          [ "$(stat -c %u:%a /var/tmp/dfs-1000)" = 1000:700 ]
          rmdir /var/tmp/dfs-1000; mkdir -m 777 /var/tmp/dfs-1000
          refused $as dfc $LOCAL/own.conf put - h < $CONF 2> $LOCAL/said
          grep -q '/var/tmp/dfs-1000 belongs to user 0' $LOCAL/said
          [ -z "$(ls -A $LOCAL/stolen)" ]
          END
          unshare --mount bash $LOCAL/script
          """)
        try await cluster.startMount(cluster.mount)
      }
    }
  }
}
