import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// What is between a client and its servers learns nothing and changes nothing. Over loopback, where
  /// `Encryption always` makes the client do what it does by itself beyond it.
  @Suite struct Encrypted {
    private static func run(_ body: (FourServers) async throws -> Void) async throws {
      let servers = try await FourServers()
      do { try await body(servers) } catch { Issue.record("\(error)") }
      try await servers.remove()
    }

    private static let work = """
      cd $DIR
      relay
      python3 -c 'print("a secret content " * 200000)' > secret-name; python3 -c 'print("a small secret " * 100)' > small-name
      dfc $RELAYED mkdir secret-folder
      dfc $RELAYED put secret-name small-name secret-folder/
      dfc $RELAYED list secret-folder/
      mkdir back; dfc $RELAYED get secret-folder/secret-name secret-folder/small-name back/
      cmp secret-name back/secret-name; cmp small-name back/small-name
      unrelay
      [ $(stat -c %s $RECORD) -gt 6000000 ]
      """

    /// A record of all that passed has no name of a file, of a folder, of the user, of the servers or the
    /// cluster, and no content; the same record of a plain connection has each of them.
    @Test func aRecordOfTheTrafficHoldsNoNameAndNoContent() async throws {
      try await Self.run { servers in
        let words = ["secret", "small-name", "a small", "Alice", "DFS1", "default"]
        for encryption in [Encryption.always, .off] {
          let relay = try TLSRelay(servers, .bytes, encryption: encryption)
          try await relay.shell.succeed(Self.work, "\(encryption)")
          for word in words {
            let found = try await relay.shell.bash("grep -qaF -- '\(word)' $RECORD").status == 0
            #expect(found == (encryption == .off), "\(word), \(encryption)")
          }
          try await relay.shell.succeed(
            "cd $DIR; dfc $CONF rm -r secret-folder; rm -r back secret-name small-name")
        }
      }
    }

    /// Whoever ends the encryption between the two gets no login, whatever it does with it: nothing is read,
    /// nothing is written, and both sides say why.
    @Test(arguments: [
      (TLSRelay.Mode.terminate, "the client saw another certificate than this"),
      (.strip, "the client sees an encrypted connection, this server a plain one"),
      (.old, "no encrypted connection (it answers in plain text)"),
    ])
    func aRelayGetsNothing(mode: TLSRelay.Mode, reason: String) async throws {
      try await Self.run { servers in
        let relay = try TLSRelay(servers, mode)
        try await relay.shell.succeed(
          """
          cd $DIR
          echo 'a secret content' > kept; echo 'a secret change' > other
          dfc $CONF put kept
          relay
          for words in 'list' 'get kept got' 'put other' 'rm kept' 'status'; do
            status=0; dfc $RELAYED $words > out 2> err || status=$?
            case $status in 3 | 5) ;; *) echo "$words: $status"; cat out err; exit 1 ;; esac >&2
            grep -qF '\(reason)' err out || { cat out err >&2; exit 1; }
          done
          [ ! -e got ]; [ "$(dfc $CONF list)" = kept ]
          if grep -qa 'secret' $RECORD; then exit 1; fi
          """)
        if mode != .old { #expect(servers.log(of: ServerIndex.all[0]).contains(reason)) }
      }
    }

    @Test(.needsFuse) func aMountThroughARelayIsNone() async throws {
      try await Self.run { servers in
        let relay = try TLSRelay(servers, .terminate)
        try await relay.shell.succeed(
          """
          cd $DIR; mkdir mount; relay
          status=0; timeout 60 dfs-mount $RELAYED mount 2> err || status=$?
          [ $status = 3 ] || [ $status = 5 ] || { echo $status; cat err; exit 1; } >&2
          grep -qF 'another certificate' err
          if mountpoint -q mount; then exit 1; fi
          """, seconds: 90)
      }
    }

    /// A fingerprint in dfc.conf accepts one certificate, and asks for encryption on loopback too.
    @Test func aFingerprintAcceptsOneCertificate() async throws {
      try await Self.run { servers in
        let relay = try TLSRelay(servers, .bytes)
        try await relay.shell.succeed(
          """
          cd $DIR
          print() { openssl x509 -in $1/.dfs/tls.pem -noout -fingerprint -sha256 | sed 's/.*=/SHA256:/'; }
          pinned() {
            sed "s|^\\(Server DFS1 [^ ]*\\).*|\\1 $1|" $CONF > pinned.conf; chmod 600 pinned.conf
          }
          echo x > file
          pinned $(print DFS1); dfc pinned.conf put file
          pinned $(print DFS2)
          status=0; dfc pinned.conf put file 2> err || status=$?
          [ $status = 5 ]; grep -q 'DFS1 .* has the certificate SHA256:.* the configuration says SHA256:' err
          # Three others have it.
          [ "$(dfc pinned.conf list)" = file ]
          """)
      }
    }

    /// TLS 1.2 and earlier are refused.
    @Test func anEarlierTLSIsRefused() async throws {
      try await Self.run { servers in
        let relay = try TLSRelay(servers, .bytes)
        let port = servers.addresses[0].port
        try await relay.shell.succeed(
          """
          openssl s_client -tls1_3 -connect 127.0.0.1:\(port) < /dev/null > $DIR/out 2>&1 || true
          grep -q 'New, TLSv1.3' $DIR/out; grep -q 'CN = DFS1' $DIR/out
          if openssl s_client -tls1_2 -connect 127.0.0.1:\(port) < /dev/null > $DIR/out 2>&1; then exit 1; fi
          grep -q 'alert protocol version' $DIR/out
          """)
      }
    }

    /// A mount works as ever.
    @Test(.needsFuse) func aMountOverTLS() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          dfs-mount --unmount $M
          cp $CONF $DIR/tls.conf; echo 'Encryption always' >> $DIR/tls.conf
          dfs-mount $DIR/tls.conf $M >> $DIR/mount.log 2>&1
          cp -r /etc/skel $M/skel; head -c 20000000 /dev/urandom > $LOCAL/big; cp $LOCAL/big $M/big
          sync $M/big
          dfs-mount --unmount $M; dfs-mount $DIR/tls.conf $M >> $DIR/mount.log 2>&1
          cmp $LOCAL/big $M/big; diff -r /etc/skel $M/skel
          dfc $DIR/tls.conf verify
          """, seconds: 120)
        // As on a plain connection: a server that stops and comes back.
        try await cluster.servers.stop(ServerIndex.all[1])
        try await cluster.shell.succeed("echo y > $M/y; cat $M/y")
        try await cluster.servers.restart(ServerIndex.all[1])
        try await cluster.shell.succeed("dfc $DIR/tls.conf heal --wait; dfc $DIR/tls.conf status")
      }
    }
  }
}
