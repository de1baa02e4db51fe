import DFSCore
import Testing

extension OnAMount {
  @Suite struct Programs {
    @Test(.needsFuse) func tarAndRsync() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          mkdir -p $LOCAL/tree; cd $LOCAL/tree
          for i in $(seq 20); do
            mkdir -p "dir $i/ä$((i % 5))"
            for j in $(seq 5); do head -c $((i * j * 700)) /dev/urandom > "dir $i/ä$((i % 5))/f$j"; done
          done
          ln -s 'dir 1' link; chmod 600 'dir 3/ä3/f1'; touch -d '2010-01-01' 'dir 2/ä2/f2'
          tar cf $LOCAL/tree.tar .
          mkdir $M/untarred; tar xf $LOCAL/tree.tar -C $M/untarred
          diff -r --no-dereference . $M/untarred
          rsync -a ./ $M/synced/
          diff -r --no-dereference . $M/synced
          changes=$(rsync -a --itemize-changes ./ $M/synced/)
          [ -z "$changes" ] || { echo "the second rsync wanted: $changes" >&2; exit 1; }
          cp -a $M/synced $M/copied; diff -r --no-dereference . $M/copied
          [ "$(cd $M/synced; find . -type f -newermt 2009-12-31 ! -newermt 2010-01-02)" = \
            './dir 2/ä2/f2' ]
          rm -r $M/synced $M/untarred $M/copied
          """, seconds: 120)
      }
    }

    @Test(.needsFuse) func gitAndSqlite() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a
          mkdir $M/repo; cd $M/repo
          git init -q
          for i in $(seq 50); do head -c $((i * 300)) /dev/urandom | base64 > f$i; done
          git add -A; git commit -q -m first
          [ -z "$(git status --short)" ]
          for i in $(seq 5); do echo $i >> f1; git commit -q -a -m "change $i"; done
          git gc -q; git fsck --full --strict
          git clone -q . $M/clone; git -C $M/clone fsck --full --strict
          cd $M
          sqlite3 db 'create table t (i integer primary key, s text)'
          for i in $(seq 10); do sqlite3 db "insert into t (s) values (hex(randomblob(1000)))"; done
          sqlite3 db 'begin; delete from t; rollback'
          sqlite3 db vacuum
          [ "$(sqlite3 db 'select count(*) from t; pragma integrity_check')" = "$(printf '10\\nok')" ]
          sqlite3 db 'pragma journal_mode=wal; insert into t (s) values (1)'
          [ "$(sqlite3 db 'select count(*) from t; pragma integrity_check')" = "$(printf '11\\nok')" ]
          """, seconds: 120)
      }
    }

    @Test(.needsFuse) func editorsMapsAndAppends() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M
          printf 'first\\nsecond\\n' > text; chmod 640 text
          export TERM=dumb
          for mode in yes no auto; do
            vim -Nu NONE -i NONE -es -c "set backup backupcopy=$mode" -c '%s/first/first!/' -c wq text
          done
          [ "$(head -1 text)" = 'first!!!' ]; [ $(stat -c %a text) = 640 ]
          python3 -c '
          import mmap, os
          with open("map", "wb") as f: f.write(b"a" * 100000)
          f = open("map", "r+b")
          m = mmap.mmap(f.fileno(), 100000)
          f.close()
          m[50000:50005] = b"after"
          m.flush(); m.close()
          '
          for i in $(seq 50); do
            [ "$(dd if=map bs=1 skip=50000 count=5 status=none)" = after ] && break; sleep 0.1
          done
          [ "$(dd if=map bs=1 skip=50000 count=5 status=none)" = after ]
          for who in 1 2 3 4; do
            (for i in $(seq 50); do echo "$who $i" >> log; done) & processes="$processes $!"
          done
          for process in $processes; do wait $process; done
          echo "$(wc -l < log) lines, $(sort -u log | wc -l) of them different"
          [ $(wc -l < log) = 200 ]; [ $(sort -u log | wc -l) = 200 ]
          """)
      }
    }
  }
}
