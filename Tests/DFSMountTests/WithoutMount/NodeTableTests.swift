import DFSClient
import DFSCore
import Testing

@testable import DFSMount

/// What is kept of the inodes that the kernel knows.
@Suite struct NodeTableTests {
  private func remember(_ count: UInt64, in nodes: NodeTable) throws {
    for id in 256..<256 + count {
      nodes.remember(InodeID(id), as: NodeName(parent: .root, name: try FileName("\(id)")))
    }
  }

  @Test func nothingIsLeftOfWhatIsForgotten() throws {
    let nodes = NodeTable()
    for _ in 0..<3 {
      try remember(50_000, in: nodes)
      #expect(nodes.count == 50_000 && nodes.capacity >= 50_000)
      for id in UInt64(256)..<50_256 { nodes.forget(InodeID(id), 1) }
      #expect(nodes.count == 0 && nodes.capacity < 10_000, "\(nodes.capacity)")
    }
  }

  @Test func whatIsLookedUpTwiceIsForgottenTwice() throws {
    let (nodes, id) = (NodeTable(), InodeID(256))
    try remember(1, in: nodes)
    try remember(1, in: nodes)
    nodes.noteRemoved(
      Inode(
        id: id, kind: .regular, mode: 0o600, owner: 0, group: 0, time: Timestamp(nanoseconds: 0)))
    nodes.forget(id, 1)
    #expect(nodes.knows(id) && nodes.removed(id)?.links == 0)
    nodes.forget(id, 1)
    #expect(!nodes.knows(id) && nodes.removed(id) == nil)
    nodes.forget(id, 1)
    #expect(nodes.count == 0)
  }

  /// Of several sizes that the kernel was told it may have any, until it is made to ask again.
  @Test func whichSizeTheKernelHas() {
    let (nodes, id) = (NodeTable(), InodeID(256))
    let (one, two) = (VersionID.random(), VersionID.random())
    nodes.noteTold(1, of: one, id)
    nodes.remember(id, as: nil)
    #expect(!nodes.wasTold(1, of: one, id), "nothing is known of what came before")
    nodes.noteTold(1, of: one, id)
    nodes.noteTold(1, of: one, id)
    #expect(nodes.wasTold(1, of: one, id))
    #expect(!nodes.wasTold(2, of: one, id) && !nodes.wasTold(1, of: two, id))
    nodes.noteTold(2, of: two, id)
    #expect(!nodes.wasTold(1, of: one, id) && !nodes.wasTold(2, of: two, id))
    nodes.noteTold(2, of: two, id)
    #expect(!nodes.wasTold(2, of: two, id), "an answer that was overtaken may come last")
    nodes.dropping(id) {
      nodes.noteTold(2, of: two, id)
      #expect(!nodes.wasTold(2, of: two, id), "answers before it count no more")
    }
    #expect(!nodes.wasTold(2, of: two, id), "one may have come before the kernel was told")
    nodes.dropping(id) {}
    nodes.noteTold(2, of: two, id)
    #expect(nodes.wasTold(2, of: two, id))
    nodes.noteOwnSize(id)
    nodes.noteTold(2, of: two, id)
    #expect(!nodes.wasTold(2, of: two, id), "it was written")
    nodes.dropping(id) {}
    nodes.noteTold(0, of: nil, id)
    nodes.noteTold(2, of: two, id)
    #expect(!nodes.wasTold(2, of: two, id), "it had no version")
  }
}
