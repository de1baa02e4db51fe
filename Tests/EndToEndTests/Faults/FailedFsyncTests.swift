import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd.StorageFaults {
  /// A close is answered before it is on stable storage, which it then never reaches on one server. A
  /// copy for which that happens is quarantined there and healed from its other replica; a log for which it
  /// happens ends the service to that user. Neither is synced again, and nothing is lost.
  @Test(.needsFuse, arguments: ["parts/*", "namespace.sqlite-wal"])
  func anFsyncThatFailsAfterAClose(file: String) async throws {
    try await MountedCluster.run(
      mountOptions: "rw,writes=quorum", withFailingFiles: true
    ) { cluster in
      let server = ServerIndex(1)
      let failing = cluster.servers.failingFiles(of: server)
      try await cluster.shell.succeed(
        """
        for i in 1 2 3 4; do head -c 500000 /dev/urandom > $LOCAL/f$i; done
        head -c 9000 /dev/urandom > $LOCAL/f5
        cp $LOCAL/f1 $M/f1; sync $M/f1
        """)
      try failing.fail(.sync, EIO, ["*/\(server)/Alice/\(file)"])
      try await cluster.shell.succeed("for i in 2 3 4 5; do cp $LOCAL/f$i $M/f$i; done")
      try await eventually("an fsync fails", within: .seconds(20)) { failing.struck > 0 }
      try await eventually("it is logged", within: .seconds(20)) {
        let log = cluster.servers.log(of: server)
        return log.contains(file == "parts/*" ? "is quarantined" : "not served any more")
      }
      try failing.lift()
      // It must not try again what failed, now that it would succeed.
      try await cluster.servers.stop(server)
      #expect(failing.retried == 0)
      try await cluster.forget("$M/*")
      try await cluster.shell.succeed("for i in 1 2 3 4 5; do cmp $LOCAL/f$i $M/f$i; done")
      try await cluster.servers.restart(server)
      try await cluster.shell.succeed(
        """
        dfc $CONF heal --wait; dfc $CONF verify --all | grep 'all good'
        for i in 1 2 3 4 5; do dfc $CONF get f$i $LOCAL/got$i; cmp $LOCAL/f$i $LOCAL/got$i; done
        """, seconds: 90)
    }
  }
}
