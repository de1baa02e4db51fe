import DFSCore
import DFSSystem

/// The trials: publishing and other changes.
extension CrashTrial {
  /// After each group everything is healed and read back.
  static let groups = [
    publishing + publishingOnServers, changes, views + catchingUp, stableStorage, transfers,
    healing, settling, collection + users,
  ]

  // MARK: Publishing

  /// A put that replaces a file; the client dies.
  private static func put(
    _ name: String, bytes: Int, _ death: Death, _ outcome: Outcome
  ) -> CrashTrial {
    CrashTrial(
      operation: "publish", what: "put of \(bytes) bytes", client: death,
      prepare: "fresh \(name) \(bytes)",
      action: .script("cd $LOCAL/new; crash dfc $CONF put \(name) tree/"),
      mirror: "cp $LOCAL/new/\(name) .", outcome: outcome)
  }

  /// The same with three servers, under `Writes quorum`.
  private static func quorumPut(_ death: Death, _ outcome: Outcome) -> CrashTrial {
    var trial = put("large2", bytes: 400_000, death, outcome)
    trial.what += ", one server down, `quorum`"
    (trial.away, trial.staysAway) = (ServerIndex(1), true)
    trial.action = .script("cd $LOCAL/new; crash dfc $Q put large2 tree/")
    return trial
  }

  private static let publishing =
    [
      put("large1", bytes: 310_000, Death(point: .someCopiesUploaded), .before),
      put("large1", bytes: 320_000, Death(point: .someCopiesUploaded, time: 3), .before).extra,
      put("large1", bytes: 330_000, Death(point: .copiesUploaded), .before),
      put("large1", bytes: 340_000, Death(point: .changeComputed), .before),
      put("large1", bytes: 350_000, Death(point: .changeTaken), .either),
      put("large1", bytes: 360_000, Death(point: .changeAgreed), .after),
      put("small1", bytes: 4000, Death(point: .changeComputed), .before).extra,
      put("small1", bytes: 5000, Death(point: .changeTaken), .either),
      put("small2", bytes: 80_000, Death(point: .changeTaken, time: 2), .either).extra,
      put("small2", bytes: 70_000, Death(point: .changeAgreed), .after),
      quorumPut(Death(point: .copiesUploaded), .before),
      quorumPut(Death(point: .changeTaken, time: 2), .either).extra,
      quorumPut(Death(point: .changeAgreed), .after),
    ] + mounted + substitutes

  /// A file that is written through a mount, which dies.
  private static let mounted = [
    (Death(point: .someCopiesUploaded, time: 2), Outcome.before),
    (Death(point: .changeTaken, time: 2), .either),
  ].map { death, outcome in
    CrashTrial(
      operation: "publish", what: "close of 600000 bytes on a mount", client: death,
      prepare: "fresh large2 600000; mkdir -p $LOCAL/m",
      action: .script(
        """
        begin dfs-mount -f -o heal=off $CONF $LOCAL/m 2>> $DIR/mount.log
        until mountpoint -q $LOCAL/m; do sleep 0.02; done
        cp $LOCAL/new/large2 $LOCAL/m/tree/
        wait $(cat $LOCAL/pid); status=$?; fusermount3 -u -z $LOCAL/m; exit $status
        """),
      mirror: "cp $LOCAL/new/large2 .", outcome: outcome)
  }

  /// A server is lost in the middle, and the client when another substitutes for it.
  private static let substitutes: [CrashTrial] = [
    (CrashPoint.copyWritten, Death(point: .substituteStored), "large1", 370_000, Outcome.before),
    (.changeReceived, Death(point: .substituteStored), "large1", 380_000, .after),
    (.changeReceived, Death(point: .substituteNoted), "large1", 390_000, .after),
    (.changeWritten, Death(point: .substituteNoted), "small1", 6000, .after),
  ].map { server, client, name, bytes, outcome in
    var trial = put(name, bytes: bytes, client, outcome)
    trial.servers = [ServerIndex(2): Death(point: server)]
    trial.repeats = true
    return trial
  }

  /// A server dies while a client puts; the put succeeds.
  private static let publishingOnServers =
    [
      Death(point: .copyWritten), Death(point: .copyWritten, time: 2), Death(point: .copySynced),
      Death(point: .copyRenamed, time: 2), Death(point: .copyNoted), Death(point: .changeReceived),
      Death(point: .changeWritten), Death(point: .commitPrepared, time: 3),
      Death(point: .changeCommitted),
    ].enumerated().map { number, death in
      CrashTrial(
        operation: "publish", what: "put of a large and a small file",
        servers: [ServerIndex(number % 4): death],
        prepare: "fresh large1 \(400_000 + number); head -c 9000 /dev/urandom > $LOCAL/new/small1",
        action: .script("cd $LOCAL/new; dfc $CONF put large1 tree/ && dfc $Q put small1 tree/"),
        repeats: true,
        mirror: "cp $LOCAL/new/* .")
    } + [
      CrashTrial(
        operation: "publish", what: "close of 250000 bytes on a mount",
        servers: [ServerIndex(1): Death(point: .copyPlaced)],
        prepare: "fresh large3 250000; mkdir -p $LOCAL/m",
        action: .script(
          """
          dfs-mount -o heal=off $CONF $LOCAL/m 2>> $DIR/mount.log
          cp $LOCAL/new/large3 $LOCAL/m/tree/sub/; status=$?
          dfs-mount --unmount $LOCAL/m; exit $status
          """),
        mirror: "cp $LOCAL/new/large3 sub")
    ]

  // MARK: Other changes

  private static func change(
    _ words: String, _ mirror: String, _ death: Death, _ outcome: Outcome
  ) -> CrashTrial {
    CrashTrial(
      operation: "change", what: "`\(words)`", client: death,
      action: .script("crash dfc $CONF \(words)"), mirror: mirror, outcome: outcome)
  }

  /// The change comes to one server only: the others die when it comes.
  private static func onOneServer(
    _ what: String, _ one: Int, prepare: String = "", _ words: String, mirror: String
  ) -> CrashTrial {
    let others = ServerIndex.all.filter { $0 != ServerIndex(one) }
    return CrashTrial(
      operation: "change", what: "\(what); only DFS\(one + 1) takes it",
      servers: Dictionary(
        uniqueKeysWithValues: others.map { ($0, Death(point: .changeReceived)) }),
      prepare: prepare,
      action: .script("cd $LOCAL/new; dfc --timeout 4s $CONF \(words)"), mirror: mirror)
  }

  private static let changes = [
    change("mkdir tree/d1", "mkdir d1", Death(point: .changeComputed), .before).extra,
    change("mkdir tree/d1", "mkdir d1", Death(point: .changeTaken, time: 2), .either),
    change("mkdir tree/d2", "mkdir d2", Death(point: .changeAgreed), .after),
    change("mv tree/large1 tree/large2", "mv large1 large2", Death(point: .changeTaken), .either),
    change("mv tree/sub tree/moved", "mv sub moved", Death(point: .changeAgreed), .after).extra,
    change("mv tree/moved tree/sub", "mv moved sub", Death(point: .changeAgreed), .after).extra,
    change("rm tree/empty", "rm empty", Death(point: .changeTaken, time: 3), .either),
    onOneServer(
      "`mv`", 3, "mv tree/small2 tree/moved2", mirror: "mv small2 moved2"
    ).extra,
    onOneServer(
      "put of 7000 bytes", 1, prepare: "fresh small1 7000", "put small1 tree/",
      mirror: "cp $LOCAL/new/small1 ."),
    onOneServer(
      "put of 300000 bytes", 2, prepare: "fresh large3 300000", "put large3 tree/sub/",
      mirror: "cp $LOCAL/new/large3 sub"),
  ]
}
