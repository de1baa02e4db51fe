import DFSCore
import DFSSystem

/// The trials: the view change, catching up, transfer, healing, settling.
extension CrashTrial {
  // MARK: Views

  private static func mkdir(_ number: Int) -> CrashTrial {
    CrashTrial(
      operation: "make a view change", what: "`mkdir`",
      action: .script("crash dfc $CONF mkdir tree/v\(number)"), mirror: "mkdir v\(number)")
  }

  static let views =
    [
      Death(point: .viewPromised), Death(point: .viewPromised, time: 3),
      Death(point: .viewInstalled), Death(point: .viewInstalled, time: 3), Death(point: .viewTaken),
    ].enumerated().map { number, death in
      var trial = mkdir(number)
      trial.client = death
      trial.outcome = .before
      return trial
    }
    + [
      Death(point: .promiseCommitted), Death(point: .installCommitted),
      Death(point: .commitPrepared), Death(point: .commitPrepared, time: 2),
    ].enumerated().map { number, death in
      var trial = mkdir(10 + number)
      trial.servers = [ServerIndex(number): death]
      return trial
    }

  // MARK: Catching up

  /// DFS2 was away while others changed, and is caught up by the next change.
  private static func behind(_ number: Int, client: Death? = nil, server: Death? = nil)
    -> CrashTrial
  {
    var trial = CrashTrial(
      operation: "catch up", what: "`mkdir` after changes that DFS2 missed", client: client,
      away: ServerIndex(1),
      prepare: """
        fresh small1 \(8000 + number); cd $LOCAL/new; dfc $Q put small1 tree/; dfc $Q mkdir tree/c\(number)
        cp small1 $LOCAL/tree; mkdir $LOCAL/tree/c\(number)
        """,
      action: .script("crash dfc $CONF mkdir tree/e\(number)"), mirror: "mkdir e\(number)")
    trial.servers[ServerIndex(1)] = server
    return trial
  }

  static let catchingUp = [
    behind(1, client: Death(point: .logRead)),
    behind(2, client: Death(point: .viewInstalled, time: 3)).extra,
    behind(3, server: Death(point: .commitPrepared, time: 2)),
    behind(4, server: Death(point: .installCommitted)).extra,
    smallCopies,
  ]

  /// A small file came to DFS2 only. Who takes it up from there brings the others their copies before
  /// anything else, and dies in the middle of that.
  private static let smallCopies = CrashTrial(
    operation: "catch up", what: "`mkdir` after a small file that only DFS2 took",
    client: Death(point: .copyBrought), away: ServerIndex(3), staysAway: true,
    prepare: """
      echo changeReceived > $DIR/DFS1.crash; echo changeReceived > $DIR/DFS3.crash
      fresh small1 9999; cd $LOCAL/new; dfc --timeout 4s $Q put small1 tree/ && exit 1
      rm $DIR/*.crash
      """,
    restarted: [ServerIndex(0), ServerIndex(2)],
    action: .script("crash dfc $Q mkdir tree/s1"), mirror: "cp $LOCAL/new/small1 .",
    outcome: .after)

  // MARK: State transfer

  /// DFS3 alone took a change and is gone; the others drop it. Its directory is kept, to be restored.
  private static let fork = CrashTrial(
    operation: "transfer", what: "`mkdir` that only DFS3 takes, which is gone then",
    servers: Dictionary(
      uniqueKeysWithValues: [0, 1, 3].map { (ServerIndex($0), Death(point: .changeReceived)) }),
    lost: ServerIndex(2), action: .script("dfc --timeout 4s $CONF mkdir tree/fork"),
    mirror: "mkdir fork", aftermath: "cp -a $DIR/DFS3 $LOCAL/forked")

  /// DFS3 begins with no directory, or with rows that the others do not have.
  private static func transfer(
    of prepare: String, client: CrashPoint? = nil, server: CrashPoint? = nil,
    _ action: Action = .script("timeout 40 dfc $Q heal; [ $? -le 1 ]")
  ) -> CrashTrial {
    var trial = CrashTrial(
      operation: "transfer", what: prepare, client: client.map { Death(point: $0) },
      away: ServerIndex(2), prepare: "rm -r $DIR/DFS3", action: action)
    if prepare == forked { trial.prepare += "; cp -a $LOCAL/forked $DIR/DFS3" }
    if case .start = action { trial.staysAway = true }
    trial.servers[ServerIndex(2)] = server.map { Death(point: $0) }
    return trial
  }

  private static let nothing = "DFS3 is empty"
  private static let forked = "DFS3 has a change that was dropped"

  static let transfers =
    [fork, transfer(of: forked, client: .transferPageSent, .script("crash dfc $Q heal"))]
    + [CrashPoint.rowsStaged, .rowsReplaced, .refillCommitted, .logMoved].map {
      transfer(of: forked, server: $0)
    }
    + [
      transfer(of: nothing, server: .identityWritten, .start(ServerIndex(2))),
      transfer(of: nothing, server: .identityReplaced, .start(ServerIndex(2))),
      transfer(of: nothing, server: .databaseMade),
    ]

  // MARK: Healing

  /// DFS2 was away when a file was stored; its copies come home.
  private static func homecoming(
    _ number: Int, client: Death? = nil, server: Death? = nil
  ) -> CrashTrial {
    var trial = CrashTrial(
      operation: "heal", what: "copies that substituted for DFS2 are rebalanced", client: client,
      away: ServerIndex(1),
      prepare: """
        fresh large2 \(700_000 + number); cd $LOCAL/new; dfc $Q put large2 tree/
        cp large2 $LOCAL/tree
        """,
      action: .script("crash dfc $CONF heal; status=$?; [ $status = 1 ] || exit $status"))
    trial.servers[ServerIndex(1)] = server
    return trial
  }

  static let healing = [
    homecoming(1, client: Death(point: .pieceFetched)),
    homecoming(2, client: Death(point: .copyBrought)),
    homecoming(3, client: Death(point: .copiesHome)),
    homecoming(4, client: Death(point: .homeNoted)),
    homecoming(5, server: Death(point: .copyRenamed)),
    homecoming(6, server: Death(point: .copyNoted, time: 2)).extra,
    CrashTrial(
      operation: "heal", what: "a damaged copy on DFS1 is replaced",
      servers: [ServerIndex(0): Death(point: .damagedQuarantined)],
      prepare: """
        for f in $DIR/DFS1/Alice/parts/??/*; do
          printf damage | dd of=$f bs=1 seek=5000 conv=notrunc status=none
        done
        dfc $CONF scrub --wait && exit 1; true
        """,
      action: .script("timeout 40 dfc $CONF heal; [ $? -le 1 ]")),
  ]

  // MARK: Settling

  /// A file that was changed in place through a mount becomes one content again.
  private static func settle(
    _ number: Int, client: Death? = nil, server: Death? = nil
  ) -> CrashTrial {
    var trial = CrashTrial(
      operation: "settle", what: "a file that was changed in place", client: client,
      prepare: """
        fresh settled 300000; dfc $CONF put $LOCAL/new/settled tree/; cp $LOCAL/new/settled $LOCAL/tree
        mkdir -p $LOCAL/mount; dfs-mount -o layers=always $CONF $LOCAL/mount
        for tree in $LOCAL/mount/tree $LOCAL/tree; do
          printf changed\(number) | dd of=$tree/settled bs=1 seek=\(number)0000 conv=notrunc,fsync status=none
        done
        dfs-mount --unmount $LOCAL/mount; dfc $CONF status > $LOCAL/status || true
        grep 'not settled' $LOCAL/status
        """,
      action: .script("crash dfc $CONF settle tree/settled"),
      check:
        "dfc $CONF settle --wait; dfc $CONF status > $LOCAL/status || true; ! grep 'not settled' $LOCAL/status"
    )
    trial.servers[ServerIndex(1)] = server
    return trial
  }

  static let settling = [
    settle(1, client: Death(point: .settleHashed)),
    settle(2, client: Death(point: .settleStored)),
    settle(3, client: Death(point: .settleNoted)),
    settle(4, server: Death(point: .changeWritten)),
    settle(5, server: Death(point: .changeCommitted)),
  ]
}
