import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Beyond loopback: each server in a network namespace of its own with an address of its own, the
  /// clients in a fifth, and a capture of all that passes between them.
  @Suite struct Network {
    /// For scripts: `network` makes five namespaces on one bridge, 192.0.2.1 to 192.0.2.5, `serve N …`
    /// starts server N, and everything is taken down in the end. What runs with `at N` runs in
    /// namespace N.
    private static let functions = """
      n=dfs-$$
      at() { local i=$1; shift; nsenter --net=/run/netns/$n-$i "$@"; }
      network() {
        trap down EXIT
        for i in 0 1 2 3 4 5; do ip netns add $n-$i; ip -n $n-$i link set lo up; done
        ip -n $n-0 link add name bridge type bridge; ip -n $n-0 link set bridge up
        for i in 1 2 3 4 5; do
          ip -n $n-0 link add name p$i type veth peer name eth0 netns $n-$i
          ip -n $n-0 link set p$i master bridge up
          ip -n $n-$i addr add 192.0.2.$i/24 dev eth0; ip -n $n-$i link set eth0 up
        done
      }
      serve() {
        local i=$1; shift
        nsenter --net=/run/netns/$n-$i dfs DFS$i 10001 --users dfs.conf "$@" > log$i 2>&1 &
        pids+=($!)
        for ((try = 0; try < 400; try++)); do
          if grep -q "DFS$i listens" log$i; then return 0; fi
          sleep 0.05
        done
        cat log$i >&2; return 1
      }
      down() {
        set +e
        if mountpoint -q mount; then umount -l mount; fi
        kill -9 "${pids[@]}" 2>/dev/null; wait 2>/dev/null
        for i in 0 1 2 3 4 5; do ip netns del $n-$i 2>/dev/null; done
      }
      configure() {
        for i in 1 2 3 4; do echo "Server DFS$i 192.0.2.$i:10001"; done
        printf 'Username: Alice\\nPassword: SimplePassword\\n'
      }
      cd $DIR; umask 077; mkdir mount
      echo SimplePassword | dfs user add Alice
      configure > dfc.conf
      { configure; echo 'Encryption off'; } > plain.conf
      """

    private static func run(_ script: String, seconds: Int = 120) async throws {
      let directory = NSTemporaryDirectory() + "dfs-network-" + UUID().uuidString
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      let shell = Shell(["DIR": directory, "HOME": directory, "XDG_CACHE_HOME": directory])
      try await shell.succeed("\(functions)\n\(script)", seconds: seconds)
      try FileManager.default.removeItem(atPath: directory)
    }

    /// Records the frames that pass port 5 of the bridge, which are all of the clients'.
    private static let capture = """
      import socket
      s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
      s.bind(("p5", 0))
      f = open("capture", "wb", buffering=0)
      print("ready", flush=True)
      while True:
          f.write(s.recv(65536))
      """

    /// `dfs DIR PORT --address A` just works, encrypted, and the clients need no new word.
    @Test(.needsNetworks, .needsFuse) func fourServersAndAMountOnFiveMachines() async throws {
      try await Self.run(
        """
        network
        cat > capture.py <<'END'
        \(Self.capture)
        END
        nsenter --net=/run/netns/$n-0 python3 capture.py > capture.out & pids+=($!)
        for ((try = 0; try < 200; try++)); do grep -q ready capture.out && break; sleep 0.05; done
        for i in 1 2 3 4; do serve $i --address 192.0.2.$i; done
        grep -q "certificate SHA256:" log1
        at 5 dfs-mount dfc.conf mount
        mkdir mount/secret-folder secret-tree
        for i in $(seq 20); do
          python3 -c "print('a secret content ' * $((i * 3000)))" > secret-tree/secret-file$i
        done
        cp -r secret-tree mount/secret-folder/; sync -f mount
        ln mount/secret-folder/secret-tree/secret-file1 mount/secret-link
        at 5 dfs-mount --unmount mount
        at 5 dfs-mount dfc.conf mount
        diff -r secret-tree mount/secret-folder/secret-tree
        at 5 dfc dfc.conf put secret-tree/secret-file1
        at 5 dfc dfc.conf get secret-folder/secret-tree/secret-file20 back
        cmp back secret-tree/secret-file20
        at 5 dfc dfc.conf status > status; cat status
        # A server goes and comes back.
        kill -9 ${pids[2]}
        echo more > mount/more; diff -r secret-tree mount/secret-folder/secret-tree
        serve 2 --address 192.0.2.2
        at 5 dfc dfc.conf heal --wait
        at 5 dfc dfc.conf verify
        at 5 dfs-mount --unmount mount
        [ $(stat -c %s capture) -gt 1000000 ]
        for word in secret Alice DFS1 default tls-server; do
          if grep -qaF "$word" capture; then echo "the capture holds $word" >&2; exit 1; fi
        done
        """, seconds: 240)
    }

    /// Who does not encrypt is refused with the reason: a client that was told not to, one of an earlier
    /// release, and one that knows an earlier TLS only.
    @Test(.needsNetworks) func plainTextIsRefusedBeyondLoopback() async throws {
      try await Self.run(
        """
        network
        for i in 1 2 3 4; do serve $i --address 192.0.2.$i; done
        status=0; at 5 dfc plain.conf list 2> err || status=$?
        [ $status = 5 ]; grep -q 'over encrypted connections only' err
        # The frames of release 1.0, and what comes back in its own format.
        at 5 python3 -c '
        import socket
        s = socket.create_connection(("192.0.2.1", 10001))
        hello = b"what it says does not matter"
        s.sendall((4 + len(hello)).to_bytes(4, "big") + len(hello).to_bytes(4, "big") + hello)
        answer = b""
        while part := s.recv(4096): answer += part
        assert b"use a client of release 1.1 or later" in answer, answer
        assert b"configuration" in answer'
        if at 5 openssl s_client -tls1_2 -connect 192.0.2.1:10001 < /dev/null > out 2>&1; then exit 1; fi
        grep -q 'alert protocol version' out
        at 5 dfc dfc.conf list
        grep -q 'refused: this server speaks with other machines over encrypted' log1
        """)
    }

    /// Plain text beyond loopback takes a word on both sides; a client without it encrypts all the same.
    @Test(.needsNetworks) func plainTextTakesAWordOnBothSides() async throws {
      try await Self.run(
        """
        network
        for i in 1 2 3 4; do serve $i --address 192.0.2.$i --plaintext; done
        grep -q 'warning --plaintext: connections from other machines may be unencrypted' log1
        echo x > file
        at 5 dfc plain.conf put file
        [ "$(at 5 dfc dfc.conf list)" = file ]
        grep -q 'logged in audit=login client=[0-9]* encrypted=no' log1
        grep -q 'logged in audit=login client=[0-9]* encrypted=yes' log1
        """)
    }
  }
}

extension EndToEnd {
  /// Encryption by the client: the servers keep nothing that they could read (OPERATIONS).
  @Suite struct EncryptedByTheClient {
    @Test(.needsFuse, .needsProgram("gocryptfs", of: "gocryptfs")) func gocryptfsOnAMount()
      async throws
    {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL
          echo 'a pass phrase' > phrase; mkdir $M/cipher plain
          gocryptfs -init -q -passfile phrase $M/cipher
          gocryptfs -q -passfile phrase $M/cipher plain
          trap 'fusermount3 -u -z $LOCAL/plain 2>/dev/null || true' EXIT
          mkdir tree
          for i in $(seq 20); do
            python3 -c "print('a secret content ' * $((i * 500)))" > tree/secret-file$i
          done
          cp -r tree plain/; mv plain/tree/secret-file1 plain/tree/secret-name
          mv tree/secret-file1 tree/secret-name
          printf 'changed' | dd of=plain/tree/secret-file2 bs=1 seek=100 conv=notrunc status=none
          printf 'changed' | dd of=tree/secret-file2 bs=1 seek=100 conv=notrunc status=none
          sync -f $M
          fusermount3 -u plain
          # gocryptfs ends, and closes what it had open, a moment after its file system is gone.
          until dfs-mount --unmount $M; do sleep 0.1; done
          dfs-mount $CONF $M >> $DIR/mount.log 2>&1
          gocryptfs -q -passfile phrase $M/cipher plain
          diff -r tree plain/tree
          fusermount3 -u plain
          if find $M/cipher | grep secret; then exit 1; fi
          if grep -rqaF secret $DIR/DFS1 $DIR/DFS2 $DIR/DFS3 $DIR/DFS4; then exit 1; fi
          dfc $CONF verify
          """, seconds: 120)
      }
    }
  }
}
