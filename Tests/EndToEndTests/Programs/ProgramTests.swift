import DFSCore
import Testing

extension EndToEnd {
  /// Real programs on a real mount do what they do on a local disk.
  @Suite struct Programs {
    @Test(.needsFuse) func copyMoveAppendRemove() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $M
          cp -r /etc/skel skel
          cp -p /bin/bash bash; cmp /bin/bash bash; [ bash -ot skel ]; ./bash -c 'exit 0'
          mkdir d; mv bash d/renamed; cmp /bin/bash d/renamed; [ ! -e bash ]
          echo one > log; echo two | tee -a log > /dev/null; printf 'three' >> log
          [ "$(cat log)" = "$(printf 'one\\ntwo\\nthree')" ]
          mv log d; mv d e; [ "$(wc -l < e/log)" = 2 ]
          ln -s e/log link; [ "$(readlink link)" = e/log ]; cmp link e/log
          : > e/log; [ ! -s e/log ]
          truncate -s 100000 e/log; [ $(stat -c %s e/log) = 100000 ]
          head -c 100000 /dev/zero | cmp - e/log
          truncate -s 10 e/log; [ $(stat -c %s e/log) = 10 ]
          chmod 640 e/log; [ $(stat -c %a e/log) = 640 ]
          touch -d '2001-02-03 04:05:06.123456789 UTC' e/log
          [ $(stat -c %Y e/log) = 981173106 ]
          if rmdir e 2>/dev/null; then exit 1; fi
          if mkdir e 2>/dev/null; then exit 1; fi
          rm -r e skel link
          [ -z "$(ls -A)" ]
          """)
      }
    }

    /// A file that is open while it is removed or replaced stays what it was.
    @Test(.needsFuse) func openWhileRemovedOrReplaced() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cd $M
          head -c 600000 /dev/urandom > $LOCAL/a; head -c 700000 /dev/urandom > $LOCAL/b
          cp $LOCAL/a a; cp $LOCAL/a b; cp $LOCAL/a c; cp $LOCAL/b new
          exec 3< a 4< b 5< c
          rm a
          mv new b
          cp $LOCAL/b $M2/new; mv $M2/new $M2/c
          cmp - $LOCAL/a <&3; cmp - $LOCAL/a <&4; cmp - $LOCAL/a <&5
          exec 3<&- 4<&- 5<&-
          [ ! -e a ]; cmp b $LOCAL/b; cmp c $LOCAL/b
          exec 3> gone; echo 1 >&3; rm gone; echo 2 >&3; exec 3>&-
          [ ! -e gone ]
          """)
      }
    }

    @Test(.needsFuse) func editorsSave() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cd $M
          printf 'first\\nsecond\\n' > text
          chmod 640 text
          export TERM=dumb
          for mode in yes no auto; do
            vim -Nu NONE -i NONE -es -c "set backup backupcopy=$mode" -c '%s/first/first!/' -c wq text
          done
          [ "$(head -1 text)" = 'first!!!' ]; [ $(stat -c %a text) = 640 ]
          [ "$(head -1 $M2/text)" = 'first!!!' ]
          vim -Nu NONE -i NONE -es -c 'normal onew text' -c wq new; [ -s new ]
          # As nano and gedit do: a temporary file beside it, fsync, rename.
          python3 -c '
          import os
          f = open("text.tmp", "w"); f.write("replaced\\n"); f.flush(); os.fsync(f.fileno()); f.close()
          os.rename("text.tmp", "text")'
          [ "$(cat text)" = replaced ]; [ "$(cat $M2/text)" = replaced ]
          [ -z "$(ls -A | grep -E 'swp|tmp')" ]
          """)
      }
    }

    @Test(.needsFuse) func tarAndRsync() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
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
          tar cf - -C $M/untarred . | tar tf - | sort > $LOCAL/names
          tar tf $LOCAL/tree.tar | sort | cmp - $LOCAL/names
          rsync -a --no-owner --no-group ./ $M/synced/
          diff -r --no-dereference . $M/synced
          changes=$(rsync -a --no-owner --no-group --itemize-changes ./ $M/synced/)
          [ -z "$changes" ] || { echo "the second rsync wanted: $changes" >&2; exit 1; }
          rsync -a --no-owner --no-group --checksum --itemize-changes ./ $M2/synced/ | cmp - /dev/null
          echo changed > 'dir 4/ä4/f4'; rm 'dir 5/ä0/f5'
          rsync -a --no-owner --no-group --delete ./ $M2/synced/
          diff -r --no-dereference . $M/synced
          [ "$(cd $M/synced; find . -type f -newermt 2009-12-31 ! -newermt 2010-01-02)" = \
            './dir 2/ä2/f2' ]
          rm -r $M/synced $M/untarred
          """, seconds: 300)
      }
    }

    @Test(.needsFuse) func git() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a
          mkdir $M/repo; cd $M/repo
          git init -q
          for i in $(seq 50); do head -c $((i * 300)) /dev/urandom | base64 > f$i; done
          mkdir sub; echo x > sub/x
          git add -A; git commit -q -m first
          [ -z "$(git status --short)" ]
          for i in $(seq 5); do echo $i >> f1; git commit -q -a -m "change $i"; done
          git checkout -q -b side HEAD~3; echo y > y; git add y; git commit -q -m side
          git checkout -q -; git merge -q -m merge side
          git gc -q
          git fsck --full --strict
          git clone -q . $M/clone; git -C $M/clone fsck --full --strict
          git clone -q $M2/repo $LOCAL/clone
          diff -r --exclude .git . $LOCAL/clone; diff -r --exclude .git . $M2/clone
          [ "$(git -C $M2/repo log --oneline | wc -l)" = 8 ]
          """, seconds: 300)
      }
    }

    @Test(.needsFuse) func findDuDf() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $M
          mkdir -p a/b/c; for d in a a/b a/b/c; do head -c 100000 /dev/urandom > $d/f; : > $d/e; done
          [ $(find . | wc -l) = 10 ]
          [ $(find . -type f -size +50k | wc -l) = 3 ]
          [ $(find . -name e -empty -delete -print | wc -l) = 3 ]
          [ $(du -sb --apparent-size a/b/c/f | cut -f1) = 100000 ]
          [ $(du -sk . | cut -f1) -ge 290 ]
          [ $(du -sk . | cut -f1) -le 400 ]
          read size used available <<< "$(df -B1 --output=size,used,avail . | tail -1)"
          [ $available -gt 0 ]; [ $used -gt 0 ]; [ $available -le $size ]
          df -h . | grep -q $M
          """)
      }
    }

    @Test(.needsFuse) func sqlite() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cd $M
          sqlite3 db 'create table t (i integer primary key, s text)'
          for i in $(seq 10); do sqlite3 db "insert into t (s) values (hex(randomblob(1000)))"; done
          sqlite3 db "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
            insert into t (s) select hex(randomblob(100)) from n"
          sqlite3 db 'begin; delete from t; rollback'
          [ "$(sqlite3 db 'select count(*) from t; pragma integrity_check')" = "$(printf '5010\\nok')" ]
          sqlite3 db vacuum
          [ "$(sqlite3 $M2/db 'select count(*) from t; pragma integrity_check')" = "$(printf '5010\\nok')" ]
          """, seconds: 120)
      }
    }
  }
}
