import DFSClient
import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Synchronization

@testable import DFSMount

/// A file with a stored version in memory, opened without a mount, and what its content is to be.
final class StoredFile {
  let files = MemoryFiles()
  let client: MemoryClient
  let budget: SpoolBudget
  let file: OpenFile
  var model: [UInt8]

  /// - Parameters:
  ///   - memory: bytes up to which the spool stays in memory.
  ///   - disk: bytes that the spool may take.
  ///   - ranges: the limit of `SpoolBudget.rangesPerFile`.
  init(
    _ content: [UInt8], memory: Int = 1 << 20, disk: UInt64 = 64 << 20, ranges: Int = 65_536
  ) async throws {
    client = MemoryClient(files)
    model = content
    budget = SpoolBudget(
      directory: NSTemporaryDirectory(), diskLimit: disk, memoryPerFile: memory,
      rangesPerFile: ranges)
    let client = client
    let context = FileContext(
      service: client, kernel: KernelCache { client.changes }, spools: budget, writes: .quorum,
      host: "here", logger: CapturedLog().logger)
    let name = try FileName("f")
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    let made = try await client.create(.root, name, new)
    let inode = try await client.publish(
      BytesContent(content), to: .inode(made.id, modified: .now, changed: .now), durable: true,
      progress: nil)
    file = OpenFile(inode, context: context, pages: .through)
    file.notePlace(NodeName(parent: .root, name: name))
  }

  deinit { file.letGo() }

  /// How often contents were read.
  var reads: Int { files.state.withLock { $0.reads } }

  /// The content that is published.
  func stored() async throws -> [UInt8] {
    let inode = try await client.inode(file.id, .current)
    return files.state.withLock { state in inode.version.flatMap { state.contents[$0.id] } ?? [] }
  }

  /// The content as handles read it.
  func read(at offset: Int = 0, count: Int? = nil) async throws -> [UInt8] {
    let count = count ?? model.count + 10
    if let now = try file.readNow(at: UInt64(offset), count: count) { return now }
    return try await file.read(at: UInt64(offset), count: count).flatMap { $0 }
  }

  /// Writes as the kernel's threads do, without suspending.
  /// - Returns: false if that was not possible.
  func writeNow(_ bytes: [UInt8], at offset: Int?) throws(DFSError) -> Bool {
    try bytes[...].withBytes { bytes throws(DFSError) in
      guard let written = try file.writeNow(bytes, at: offset.map { UInt64($0) }) else {
        return false
      }
      written.unhashed?.hash(bytes)
      return true
    }
  }

  func write(_ bytes: [UInt8], at offset: Int?) async throws {
    if try !writeNow(bytes, at: offset) {
      _ = try await file.write(bytes, at: offset.map { UInt64($0) }) {}
    }
    let start = offset ?? model.count
    grow(to: start + bytes.count)
    model.replaceSubrange(start..<start + bytes.count, with: bytes)
  }

  func truncate(to size: Int) async throws {
    try await file.truncate(to: UInt64(size)) {}
    model.removeLast(max(0, model.count - size))
    grow(to: size)
  }

  func zero(_ range: Range<Int>, takesSpace: Bool, grows: Bool) async throws {
    let bytes = UInt64(range.lowerBound)..<UInt64(range.upperBound)
    try await file.zero(bytes, takesSpace: takesSpace, grows: grows) {}
    if takesSpace, grows { grow(to: range.upperBound) }
    for index in range.clamped(to: 0..<model.count) { model[index] = 0 }
  }

  func allocate(_ range: Range<Int>, grows: Bool) async throws {
    let bytes = UInt64(range.lowerBound)..<UInt64(range.upperBound)
    try await file.allocate(bytes, grows: grows) {}
    if grows { grow(to: range.upperBound) }
  }

  /// Copies within the file.
  func copy(from start: Int, to offset: Int, count: Int) async throws {
    let done = try await file.copy(
      from: file, at: UInt64(start), to: UInt64(offset), count: UInt64(count)
    ) {}
    let bytes = model[min(start, model.count)..<min(start + count, model.count)]
    guard done == UInt64(bytes.count) else {
      throw DFSError(.inputOutput, "\(done) of \(bytes.count) bytes were copied")
    }
    guard !bytes.isEmpty else { return }
    let copied = Array(bytes)
    grow(to: offset + copied.count)
    model.replaceSubrange(offset..<offset + copied.count, with: copied)
  }

  private func grow(to size: Int) {
    model += Array(repeating: 0, count: max(0, size - model.count))
  }
}
