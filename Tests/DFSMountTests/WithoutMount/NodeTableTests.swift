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
}
