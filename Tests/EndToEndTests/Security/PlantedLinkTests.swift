import DFSCore
import Testing

extension EndToEnd {
  /// Trees that plant symbolic links where `dfc get` is to write next.
  @Suite struct PlantedLinks {
    /// It wrote through the link: any file of who fetches was overwritten.
    @Test(.needsFuse) func aFileIsNotWrittenThroughALinkOfTheTree() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          echo mine > $LOCAL/victim; mkdir $LOCAL/got; mkdir $M/tree
          ln -s $LOCAL/victim $M/tree/x; ln -s $LOCAL/victim $M/tree/y; ln -s $LOCAL/victim $M/one
          dfc $CONF get -r tree $LOCAL/got
          ln -s $LOCAL/victim $LOCAL/got/one
          rm $M/tree/x $M/one; echo stolen > $M/tree/x; head -c 200000 /dev/zero > $M/one
          dfc $CONF get -r tree $LOCAL/got
          dfc $CONF get one $LOCAL/got
          [ "$(cat $LOCAL/victim)" = mine ]
          [ ! -L $LOCAL/got/tree/x ]; [ "$(cat $LOCAL/got/tree/x)" = stolen ]
          [ ! -L $LOCAL/got/one ]; cmp $M/one $LOCAL/got/one
          [ "$(readlink $LOCAL/got/tree/y)" = $LOCAL/victim ]
          [ -z "$(find $LOCAL -name '.dfc-get-*')" ]
          """)
        // A link that a person names is that person's.
        try await cluster.shell.succeed(
          """
          ln -s $LOCAL/victim $LOCAL/named; chmod 640 $LOCAL/victim
          dfc $CONF get tree/x $LOCAL/named
          [ -L $LOCAL/named ]; [ "$(cat $LOCAL/victim)" = stolen ]
          [ $(stat -c %a $LOCAL/victim) = 640 ]
          """)
      }
    }

    @Test(.needsFuse) func aDirectoryIsNotEnteredThroughALink() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          mkdir $LOCAL/outside $LOCAL/got; mkdir $M/tree
          ln -s $LOCAL/outside $M/tree/d; echo good > $M/tree/f
          dfc $CONF get -r tree $LOCAL/got
          rm $M/tree/d; mkdir $M/tree/d; echo stolen > $M/tree/d/profile; echo better > $M/tree/f
          """)
        let result = try await cluster.shell.fail("dfc $CONF get -r tree $LOCAL/got", status: 1)
        #expect(result.errors.contains("tree/d"), "\(result)")
        try await cluster.shell.succeed(
          """
          [ -z "$(ls -A $LOCAL/outside)" ]; [ -L $LOCAL/got/tree/d ]
          [ "$(cat $LOCAL/got/tree/f)" = better ]
          """)
        // What is there and is not a file or link of a tree is not replaced.
        try await cluster.shell.succeed("mkfifo $LOCAL/got/fifo; echo x > $M/fifo")
        let special = try await cluster.shell.fail("dfc $CONF get fifo $LOCAL/got", status: 1)
        #expect(special.errors.contains("is there and is not a file"), "\(special)")
      }
    }
  }
}
