import DFSCore
import DFSSystem

/// The trials: stable storage, the end of a server, repair, collection, users.
extension CrashTrial {
  // MARK: Stable storage

  private static func later(_ number: Int, _ point: CrashPoint) -> CrashTrial {
    CrashTrial(
      operation: "stable storage", what: "`mkdir`, then a moment",
      servers: [ServerIndex(number): Death(point: point)],
      action: .script("dfc $CONF mkdir tree/l\(number)"), mirror: "mkdir l\(number)")
  }

  private static func stop(_ number: Int, _ point: CrashPoint) -> CrashTrial {
    CrashTrial(
      operation: "stable storage", what: "a server is stopped",
      servers: [ServerIndex(number): Death(point: point)], action: .stop(ServerIndex(number)))
  }

  /// DFS2's database has a damaged mark, and is quarantined by `dfs repair`, which dies.
  private static func repair(_ time: Int) -> CrashTrial {
    CrashTrial(
      operation: "repair", what: "`dfs repair --set-aside`",
      client: Death(point: .databaseMoved, time: time), away: ServerIndex(1), staysAway: true,
      prepare: "echo >> $DIR/DFS2/Alice/namespace.mark",
      action: .script("crash dfs repair $DIR/DFS2 --set-aside"),
      aftermath: """
        dfs repair $DIR/DFS2 --set-aside && exit 1
        dfs repair $DIR/DFS2
        """)
  }

  static let stableStorage = [
    later(0, .namedSynced), later(1, .logSynced), stop(2, .databaseClosing), stop(3, .markWritten),
    stop(0, .markReplaced), repair(1), repair(2).extra, repair(3).extra,
  ]

  // MARK: Collection

  static let collection = [
    CrashTrial(
      operation: "collect", what: "replaced files, and copies of a put that was killed",
      servers: [
        ServerIndex(0): Death(point: .unreferencedRemoved),
        ServerIndex(1): Death(point: .unreferencedForgotten),
        ServerIndex(2): Death(point: .unreferencedRemoved),
        ServerIndex(3): Death(point: .orphanRemoved),
      ],
      prepare: """
        fresh large1 222000; cd $LOCAL/new; dfc $CONF put large1 tree/; cp large1 $LOCAL/tree
        AT=copiesUploaded; crash dfc $CONF put large1 tree/ || true; AT=
        touch -d '3 hours ago' $DIR/DFS4/Alice/parts/??/*
        fresh large1 111000; cd $LOCAL/new; dfc $CONF put large1 tree/; cp large1 $LOCAL/tree
        """,
      restarted: ServerIndex.all,
      // The collectors come by ten seconds after the start.
      action: .script("dfc $CONF mkdir tree/g"), mirror: "mkdir g",
      check: "dfc $CONF verify --all --quiet")
  ]

  // MARK: Users

  private static func user(
    _ words: String, _ point: CrashPoint, prepare: String = "", check: String
  ) -> CrashTrial {
    CrashTrial(
      operation: "users", what: "`dfs user \(words)`", client: Death(point: point),
      prepare: prepare,
      action: .script("cd $DIR; crash dfs user \(words) < $LOCAL/password"), check: check)
  }

  private static let account = """
    printf 'first word\\n' > $LOCAL/password
    sed "s/^Username.*/Username: Bob/; s/^Password.*/Password: first word/" $CONF > $LOCAL/bob.conf
    sed "s/first word/second word/" $LOCAL/bob.conf > $LOCAL/bob2.conf; chmod 600 $LOCAL/*.conf
    """

  /// A server dies when it makes room for a user who is new.
  private static func newUser(_ number: Int, _ point: CrashPoint) -> CrashTrial {
    let name = "User\(number)"
    return CrashTrial(
      operation: "users", what: "the first put of a new user",
      servers: [ServerIndex(number): Death(point: point)],
      prepare: """
        cd $DIR; printf 'first word\\n' | dfs user add \(name)
        sed "s/Bob/\(name)/" $LOCAL/bob.conf > $LOCAL/user.conf; chmod 600 $LOCAL/user.conf
        """,
      // All four are needed for the first change of a user.
      action: .script("cd $LOCAL/tree; dfc --timeout 5s $LOCAL/user.conf put small1; true"),
      check: """
        cd $LOCAL/tree; dfc $LOCAL/user.conf put small1
        dfc $LOCAL/user.conf get small1 - | cmp - small1; [ "$(dfc $LOCAL/user.conf list)" = small1 ]
        """)
  }

  static let users =
    [
      user(
        "add Bob", .usersWritten, prepare: account,
        check: "cd $DIR; dfs user list Bob && exit 1; dfs user add Bob < $LOCAL/password"),
      user(
        "passwd Bob", .usersWritten, prepare: "printf 'second word\\n' > $LOCAL/password",
        check: "dfc $LOCAL/bob.conf list; dfc $LOCAL/bob2.conf list && exit 1; true"),
      user(
        "passwd Bob", .usersReplaced,
        check: "dfc $LOCAL/bob2.conf list; dfc $LOCAL/bob.conf list && exit 1; true"),
      user(
        "remove Bob", .usersReplaced,
        check: "dfc $LOCAL/bob2.conf list && exit 1; cd $DIR; dfs user add Bob < $LOCAL/password"),
      user(
        "convert", .usersWritten,
        check: "cd $DIR; grep -q '^Alice SimplePassword' dfs.conf; dfs user convert; "
          + "[ -z \"$(ls | grep 'dfs.conf.')\" ]; dfc $CONF list > /dev/null"),
    ] + [
      newUser(0, .userDirectoryMade), newUser(1, .databaseMade), newUser(2, .markWritten),
      newUser(3, .markReplaced),
    ]
}
