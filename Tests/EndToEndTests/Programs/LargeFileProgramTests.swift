import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Programs that change large files a little, again and again. What they leave on the mount is compared to
  /// what they leave on a local directory, byte for byte.
  @Suite struct LargeFilePrograms {
    /// Images of disks: copied on write, sparse, made of each other, and written by an emulator's tool.
    @Test(.needsFuse, .needsProgram("qemu-io", of: "qemu-utils"))
    func imagesOfDisks() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          head -c 20000000 /dev/urandom > $LOCAL/source
          python3 -c '
          import random
          random.seed(7)
          for i in range(120):
              at = random.randrange(0, 19_000_000) // 512 * 512
              print(f"write -P {i % 255 + 1} {at} {random.choice((512, 4096, 65536, 131072))}")
              if i % 10 == 0: print("flush")
              if i % 17 == 0: print(f"discard {at // 65536 * 65536} 65536")
          ' > $LOCAL/commands
          mkdir $LOCAL/there
          for place in $LOCAL/there $M; do
            cd $place
            qemu-img convert -f raw -O qcow2 $LOCAL/source base
            qemu-img create -q -f qcow2 -F qcow2 -b base over; qemu-img create -q -f raw sparse 3G
            qemu-io -f qcow2 over < $LOCAL/commands > /dev/null
            qemu-io -f raw sparse < $LOCAL/commands > /dev/null
            qemu-img bench -q -f raw -w -c 300 -d 8 -s 4096 --flush-interval 24 --pattern 7 sparse > /dev/null
            qemu-img check -q over; qemu-img convert -O raw over flat; qemu-img commit -q over
          done
          for f in base over flat; do cmp $LOCAL/there/$f $M/$f; done
          qemu-img compare -q -f raw $LOCAL/there/sparse $M/sparse
          [ $(du -k $M/sparse | cut -f1) -lt 30000 ]
          dfc $CONF settle; dfc $CONF verify --all
          cd $M; for f in base flat; do dfc $CONF get $f $LOCAL/back; cmp $LOCAL/there/$f $LOCAL/back; done
          """, seconds: 200)
      }
    }

    /// A mailbox of 12 MB that gets messages, and from which some are removed; and a file whose pieces come in any
    /// order, as from peers.
    @Test(.needsFuse) func mailboxesAndPieces() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/script.py <<'END'
          import email.message, mailbox, os, random, sys
          os.chdir(sys.argv[1])
          random.seed(11)
          box = mailbox.mbox("mail")
          def letter(number, size):
              text = email.message.EmailMessage()
              text["Subject"] = f"letter {number}"
              text.set_content("\\n".join(random.randbytes(30).hex() for _ in range(size // 60)))
              message = mailbox.mboxMessage(text)
              message.set_from("alice", (2026, 12, 1, 10, 0, 0, 1, 335, 0))
              return message
          for number in range(120): box.add(letter(number, 100_000))
          box.flush()
          for number in range(60):
              box.lock(); box.add(letter(number, 3000)); box.flush(); box.unlock()
          for number in (3, 50, 110): box.discard(number)
          box.flush(); box.close()

          pieces = list(range(1500))
          random.shuffle(pieces)
          fd = os.open("pieces", os.O_RDWR | os.O_CREAT)
          os.ftruncate(fd, len(pieces) * 16384)
          for count, piece in enumerate(pieces):
              data = random.randbytes(16384)
              os.pwrite(fd, data, piece * 16384)
              if count % 40 == 0: os.fsync(fd)
              if count % 97 == 0:
                  os.close(fd); fd = os.open("pieces", os.O_RDWR)
                  assert os.pread(fd, 16384, piece * 16384) == data
          os.close(fd)
          END
          mkdir $LOCAL/there
          python3 $LOCAL/script.py $LOCAL/there; python3 $LOCAL/script.py $M
          for f in mail pieces; do
            cmp $LOCAL/there/$f $M/$f; cmp $LOCAL/there/$f $M2/$f
            dfc $CONF get $f $LOCAL/back; cmp $LOCAL/there/$f $LOCAL/back
          done
          """, seconds: 120)
      }
    }

    /// A database server goes on while a server is killed, and recovers when it is killed itself: every row that it
    /// acknowledged is there, and its sums are right.
    @Test(.needsFuse, .needsRoot, .needsPostgreSQL) func aDatabaseServer() async throws {
      try await MountedCluster.run(mountOptions: "allow_other,default_permissions") { cluster in
        try await cluster.shell.succeed(
          """
          export PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH PGHOST=/tmp PGPORT=$((20000 + RANDOM % 10000))
          chmod o+x $DIR
          pg() { (cd /tmp; exec setpriv --reuid postgres --regid postgres --clear-groups "$@"); }
          begin() { pg pg_ctl -s -w -t 60 -D $M/db -l /tmp/db$PGPORT.log -o "-k /tmp -p $PGPORT -c listen_addresses=" start; }
          end() { pg pg_ctl -s -D $M/db -m immediate stop 2> /dev/null || true; rm -f /tmp/.s.PGSQL.$PGPORT* /tmp/db$PGPORT.log; }
          trap end EXIT
          until_acknowledged() {
            for try in $(seq 600); do [ $(wc -l < $LOCAL/acknowledged) -ge $1 ] && return; sleep 0.1; done
            echo "$(wc -l < $LOCAL/acknowledged) rows, not $1" >&2; return 1
          }
          mkdir $M/db; chown postgres $M/db; chmod 700 $M/db
          pg initdb -k -A trust -D $M/db > /dev/null; begin
          pg pgbench -q -i -s 1 postgres 2> /dev/null
          pg psql -q postgres -c 'CREATE TABLE rows(n int)'
          : > $LOCAL/acknowledged
          (n=0; while n=$((n + 1)); pg psql -q postgres -c "INSERT INTO rows VALUES($n)"; do
            echo $n >> $LOCAL/acknowledged
          done) 2> /dev/null & writer=$!
          pg pgbench -n -c 3 -T 60 postgres > /dev/null 2>&1 & bench=$!
          until_acknowledged 30; kill -9 $(server_pid DFS2); until_acknowledged 80
          postmaster=$(head -1 $M/db/postmaster.pid); kill -9 $postmaster; wait $writer $bench || true
          for try in $(seq 100); do pgrep -u postgres -f "postgres.*$PGPORT|^postgres: " > /dev/null || break; sleep 0.1; done
          rm -f $M/db/postmaster.pid /tmp/.s.PGSQL.$PGPORT*; begin
          pg psql -qAt postgres -c 'SELECT n FROM rows' | sort > $LOCAL/rows
          [ -z "$(sort $LOCAL/acknowledged | comm -23 - $LOCAL/rows)" ]
          [ "$(pg psql -qAt postgres -c 'SELECT (SELECT sum(abalance) FROM pgbench_accounts)
            = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)')" = t ]
          pg pg_ctl -s -D $M/db -m fast stop; pg pg_checksums -c -D $M/db > /dev/null
          """, seconds: 300)
      }
    }
  }
}
