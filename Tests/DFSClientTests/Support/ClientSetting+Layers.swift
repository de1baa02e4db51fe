import DFSCore
import DFSTestSupport
import Foundation
import Testing

@testable import DFSClient

/// Files that are changed in place, and programs that look at them.
extension ClientSetting {
  /// Writes bytes over extents of a file, as one layer.
  func lay(
    _ bytes: [UInt8], _ extents: [LayerExtent], cut: UInt64, size: UInt64, over inode: Inode
  ) async throws -> Inode {
    let time = Timestamp(nanoseconds: 1)
    let patch = Patch(over: inode.version, extents, cut: cut, size: size)
    return try await client.publish(
      BytesContent(bytes), as: .layer(patch), to: .inode(inode.id, modified: time, changed: time),
      durable: true, progress: nil
    ).inode
  }

  /// The same within the file, whose size stays.
  func lay(
    _ content: TestContent, at offset: UInt64, over inode: Inode
  ) async throws -> Inode {
    try await lay(
      content.bytes(0..<content.size), [LayerExtent(offset..<offset + content.size)],
      cut: inode.size, size: inode.size, over: inode)
  }

  /// A layer of many extents, whose index is in its content: `length` bytes of `content` at each multiple of
  /// `distance`.
  func scatter(
    _ content: TestContent, length: UInt64, distance: UInt64, over inode: Inode
  ) async throws -> Inode {
    let extents = stride(from: 0, to: inode.size - length, by: UInt64.Stride(distance)).map {
      LayerExtent($0..<$0 + length)
    }
    let bytes = try content.bytes(0..<extents.storedBytes)
    let inode = try await lay(bytes, extents, cut: inode.size, size: inode.size, over: inode)
    #expect(try #require(inode.version?.layers.last).dataStart > 0)
    return inode
  }

  /// Runs dfc with the settings of the client.
  func dfc(_ words: String...) throws -> (status: Int32, output: String, errors: String) {
    try dfc(words)
  }

  func dfc(_ words: [String]) throws -> (status: Int32, output: String, errors: String) {
    let folder = servers.directory + "/dfc-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    let status = try ChildProcess.start(
      BuiltProgram.path("dfc"), [servers.configurationFile] + words,
      environment: ["HOME": folder, "XDG_CACHE_HOME": folder],
      output: .file(folder + "/out"), errors: .file(folder + "/err")
    ).wait()
    func text(_ name: String) -> String {
      String(
        decoding: FileManager.default.contents(atPath: folder + "/" + name) ?? Data(), as: UTF8.self
      )
    }
    return (status, text("out"), text("err"))
  }
}
