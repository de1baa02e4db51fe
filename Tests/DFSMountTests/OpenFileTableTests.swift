import DFSClient
import DFSCore
import Foundation
import Testing

@testable import DFSMount

/// Which open file a new handle joins.
@Suite struct OpenFileTableTests {
  /// An open that asked for the inode before another's close was done, and comes after it, must not
  /// open the version before: it would be written and published over the other's. Lines that several
  /// processes appended to one file were lost so.
  @Test func anOpenThatWasOvertakenByACloseHasTheClosedVersion() async throws {
    let service = MemoryClient(MemoryFiles())
    let context = FileContext(
      service: service, nodes: NodeTable(),
      spools: SpoolBudget(
        directory: NSTemporaryDirectory(), diskLimit: 1 << 20, memoryPerFile: 1 << 20),
      writes: .quorum, host: "here", logger: CapturedLog().logger)
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    let empty = try await service.create(.root, try FileName("log"), new)
    let files = OpenFileTable()
    let first = files.open(empty, since: context.nodes.mark, context: context).file
    _ = try await first.write(Array("one\n".utf8), at: nil) {}
    try await first.publish(durable: false) {}

    let mark = context.nodes.mark
    let old = try await service.inode(empty.id, .current)
    _ = try await first.write(Array("two\n".utf8), at: nil) {}
    try await first.publish(durable: false) {}
    let (second, isDivided) = files.open(old, since: mark, context: context)
    #expect(second === first && !isDivided)

    #expect(!files.close(first))
    #expect(files.close(first))
    let third = files.open(old, since: mark, context: context).file
    #expect(third !== first)
    #expect(third.size == 8, "with no handle left it has the closed version too")
  }
}
