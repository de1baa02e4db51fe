import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// Whether a small file system of its own can be mounted for a server.
enum SmallDisk {
  static let canBeMade: Bool = {
    let place = NSTemporaryDirectory() + "/small-\(UUID().uuidString)"
    let script =
      "mkdir \(place) && mount -t tmpfs -o size=1m none \(place) && umount \(place); "
      + "s=$?; rmdir \(place); exit $s"
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()
}

extension EndToEnd.StorageFaults {
  /// One server's disk fills up: what cannot be stored there is an error or is substituted for, what was
  /// stored stays, reads go on, and the server goes on by itself when there is room again.
  @Test(.enabled(if: SmallDisk.canBeMade, "a tmpfs cannot be mounted here"))
  func aFullDisk() async throws {
    try await MountedCluster.run(mounts: 0) { cluster in
      let server = ServerIndex(2)
      try await cluster.servers.stop(server)
      try await cluster.shell.succeed(
        "rm -rf $DIR/\(server); mkdir $DIR/\(server); "
          + "mount -t tmpfs -o size=24m none $DIR/\(server)")
      do {
        try await cluster.servers.restart(server)
        try await fill(cluster, server)
      } catch {
        Issue.record("\(error)")
      }
      try await cluster.servers.kill(server)
      try await cluster.shell.succeed("umount $DIR/\(server)")
    }
  }

  private func fill(_ cluster: MountedCluster, _ server: ServerIndex) async throws {
    let process = try await cluster.shell.succeed("server_pid \(server)").line
    try await cluster.shell.succeed(
      """
      mkdir $LOCAL/tree
      for i in 1 2 3; do head -c 900000 /dev/urandom > $LOCAL/tree/large$i; done
      for i in $(seq 10); do echo $i > $LOCAL/tree/small$i; done
      dfc $CONF put -r $LOCAL/tree
      # All that is left, to the last page.
      cat /dev/zero > $DIR/\(server)/filler 2>/dev/null || true
      [ $(df --output=avail $DIR/\(server) | tail -1) = 0 ]
      head -c 3000000 /dev/urandom > $LOCAL/more
      head -c 3000 /dev/urandom > $LOCAL/little
      """)
    // Large and small: what is not a success says why; what is one is there.
    let outcomes = try await cluster.shell.succeed(
      """
      for f in more little; do
        if timeout 40 dfc $CONF put $LOCAL/$f tree/ 2>$LOCAL/why; then
          echo "$f: stored"; cp $LOCAL/$f $LOCAL/tree/
        else
          status=$?
          grep -q -i 'no space' $LOCAL/why || { cat $LOCAL/why >&2; exit 1; }
          echo "$f: refused, no space"
        fi
      done
      dfc $CONF list tree/ > $LOCAL/names
      [ $(wc -l < $LOCAL/names) = $(ls $LOCAL/tree | wc -l) ]
      rm -rf $LOCAL/got; mkdir $LOCAL/got; dfc $CONF get -r tree $LOCAL/got
      diff -r $LOCAL/tree $LOCAL/got/tree
      """, seconds: 120)
    // Room again: the same process goes on.
    try await cluster.shell.succeed(
      """
      rm $DIR/\(server)/filler
      for f in more little; do
        dfc $CONF put $LOCAL/$f tree/; cp $LOCAL/$f $LOCAL/tree/
      done
      dfc $CONF heal --wait
      dfc $CONF scrub --wait
      dfc $CONF verify --all | grep 'all good'
      rm -rf $LOCAL/got; mkdir $LOCAL/got; dfc $CONF get -r tree $LOCAL/got
      diff -r $LOCAL/tree $LOCAL/got/tree
      """, seconds: 120)
    let after = try await cluster.shell.succeed("server_pid \(server)").line
    #expect(after == process, "the server was not started again")
    var matrix = FaultMatrix()
    matrix.rows = [
      FaultMatrix.Row(
        fault: "full disk (tmpfs)", server: "\(server)", start: "stays up", list: "all",
        get: "all right",
        put: outcomes.line.replacing("\n", with: "; "), scrub: "no bad copy",
        heal: "done", repaired: "room on the disk, healing", after: "every copy good on all four")
    ]
    try matrix.write()
  }
}
