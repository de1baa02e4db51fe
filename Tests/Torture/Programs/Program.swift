import Foundation

/// An ordinary program at work on a mount: the scripts that bash runs for it.
///
/// They find in their environment SOURCE, where the sources are on the local disk; HERE and THERE,
/// a directory of their own as the first and the second mount show it; LOCAL, one of the local disk;
/// COUNT, how many files the largest tree has.
struct Program: Sendable {
  let name: String
  /// What must be in PATH.
  let needs: [String]
  /// On the local disk, before the first round.
  var prepare = ":"
  /// Under faults.
  let run: String
  /// When the faults are over: what is there is what the same program makes of local files.
  let check: String

  /// For all scripts.
  static let functions = """
    listing() {
      (cd "$1"; find . -mindepth 1 \\( -type d -printf '%P d %m %T@\\n' \\
        -o -printf '%P %y %m %s %n %T@ %l\\n' \\) | sort)
    }
    same() { diff -r --no-dereference "$1" "$2"; diff <(listing "$1") <(listing "$2"); }
    last=$((COUNT / 1000 * 30)); [ $last -ge 20 ] || last=20
    nothing() { [ -z "$1" ] || { echo "nothing should be left to do: $1" >&2; return 1; }; }

    """

  static let all = [git, make, rsync, sqlite, tar, cp]

  /// What it needs and is not there.
  var missing: [String] {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return needs.filter { program in
      !path.split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
      }
    }
  }

  // MARK: The programs

  private static let git = Program(
    name: "git", needs: ["git", "diff"],
    prepare: """
      git init -q --bare $SOURCE/git
      git -C $SOURCE/git fast-import --quiet < $SOURCE/git.stream
      git -C $SOURCE/git symbolic-ref HEAD refs/heads/main
      git clone -q $SOURCE/git $SOURCE/clone
      """,
    run: """
      git clone -q $SOURCE/git $HERE/clone
      cd $HERE/clone
      git fsck --full --strict
      nothing "$(git status --porcelain)"
      """,
    check: """
      for clone in $HERE/clone $THERE/clone; do
        git -C $clone fsck --full --strict
        [ "$(git -C $clone rev-parse HEAD)" = "$(git -C $SOURCE/git rev-parse main)" ]
        diff -r --exclude .git $SOURCE/clone $clone
      done
      nothing "$(git -C $HERE/clone status --porcelain)"
      """)

  private static let make = Program(
    name: "make", needs: ["make", "cc", "cmp"],
    prepare: "make -s -C $SOURCE/project",
    run: """
      mkdir $HERE/project
      cp $SOURCE/project/*.[ch] $SOURCE/project/Makefile $HERE/project
      make -s -j2 -C $HERE/project
      [ "$($HERE/project/program)" = "$($SOURCE/project/program)" ]
      make -q -C $HERE/project
      """,
    check: """
      diff -r $SOURCE/project $HERE/project
      diff -r $SOURCE/project $THERE/project
      [ "$($THERE/project/program)" = "$($SOURCE/project/program)" ]
      """)

  private static let rsync = Program(
    name: "rsync", needs: ["rsync", "diff"],
    run: """
      rsync -aHAX $SOURCE/part/ $HERE/copy/
      nothing "$(rsync -aHAX --itemize-changes $SOURCE/part/ $HERE/copy/)"
      """,
    check: """
      nothing "$(rsync -aHAXn --checksum --delete --itemize-changes $SOURCE/part/ $THERE/copy/)"
      same $SOURCE/part $HERE/copy
      same $SOURCE/part $THERE/copy
      """)

  /// Two processes at once for each journal mode, ten transactions each before the next two begin.
  private static let sqlite = Program(
    name: "sqlite3", needs: ["sqlite3", "cmp"],
    run: """
      transactions() {
        echo .timeout 120000
        for i in $(seq $2 $(($2 + 9))); do
          echo "begin immediate;
            insert into t select $1, $i, value, hex(zeroblob($i % 100)) from generate_series(1, 5);
            update t set v = 'last' where who = $1 and i = $i and j = 5;
            update sum set n = n + 5;
            commit;"
        done
      }
      for mode in delete wal; do
        db=$HERE/$mode.db
        sqlite3 -bail $db "pragma journal_mode=$mode;
          create table t (who int, i int, j int, v text, primary key (who, i, j));
          create table sum (n int); insert into sum values (0)" | grep -qx $mode
        for first in $(seq 1 10 $last); do
          transactions 1 $first | sqlite3 -bail $db & one=$!
          transactions 2 $first | sqlite3 -bail $db & two=$!
          wait $one; wait $two
        done
        sqlite3 $db 'pragma integrity_check' | grep -qx ok
      done
      """,
    check: """
      for who in 1 2; do
        for i in $(seq $last); do
          text=$(printf '00%.0s' $(seq $((i % 100)) ))
          [ $((i % 100)) != 0 ] || text=
          for j in 1 2 3 4; do echo "$who|$i|$j|$text"; done
          echo "$who|$i|5|last"
        done
      done > $LOCAL/expected
      for db in $HERE/delete.db $HERE/wal.db $THERE/delete.db $THERE/wal.db; do
        sqlite3 $db 'pragma integrity_check' | grep -qx ok
        sqlite3 $db 'select n, (select count(*) from t) from sum' | grep -qx "$((last * 10))|$((last * 10))"
        sqlite3 $db 'select * from t order by who, i, j' | cmp - $LOCAL/expected
      done
      """)

  private static let tar = Program(
    name: "tar", needs: ["tar", "diff"],
    prepare: "tar -C $SOURCE/tree --format=posix -cf $SOURCE/tree.tar .",
    run: """
      mkdir $HERE/out
      tar -C $HERE/out -xpf $SOURCE/tree.tar
      tar -C $HERE/out --format=posix -cf $LOCAL/back.tar .
      """,
    check: """
      mkdir $LOCAL/back
      tar -C $LOCAL/back -xpf $LOCAL/back.tar
      same $SOURCE/tree $LOCAL/back
      same $SOURCE/tree $THERE/out
      """)

  private static let cp = Program(
    name: "cp", needs: ["cp", "diff"],
    run: """
      cp -a $SOURCE/part $HERE/copy
      diff -r --no-dereference $SOURCE/part $HERE/copy
      cp -a $HERE/copy $LOCAL/back
      """,
    check: """
      same $SOURCE/part $LOCAL/back
      same $SOURCE/part $THERE/copy
      """)
}
