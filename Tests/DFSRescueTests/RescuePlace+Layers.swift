import DFSCore
import DFSStore
import DFSStoreFixtures
import Foundation

extension RescuePlace {
  /// A file with layers on all servers.
  /// - Parameter isNamed: in the root; else it has no name.
  func fill(_ file: LayeredFile, md5: MD5Digest? = nil, isNamed: Bool = true) async throws {
    let contents = file.version().contents
    for server in ServerIndex.all {
      let store = try Fixture.open(directory(server.value), name: "\(server)")
      let user = try await store.user(Fixture.alice)
      try await user.begin()
      for (number, content) in contents.enumerated() {
        let (inline, held) = try await Self.put(
          content, file.stored[content.id] ?? [], server, user)
        let isLast = number == contents.count - 1
        let version = file.version(contents: number + 1, md5: isLast ? md5 : nil)
        let change = Change(
          id: ChangeID(client: ClientID(7), sequence: UInt64(number + 1)),
          writes: Self.rows(of: file, version, isNamed: isNamed))
        let reply = try await user.apply(change, parts: inline, held: held)
        guard case .applied = reply else { fatalError("the change was answered \(reply)") }
      }
      await store.close()
    }
  }

  /// The file, its newest layer, its name, and whether it is in the list of what is not settled.
  private static func rows(
    of file: LayeredFile, _ version: Version, isNamed: Bool
  ) -> [RowWrite] {
    let inode = Inode(
      id: LayeredFile.inode, kind: .regular, mode: 0o640, owner: 0, group: 0,
      time: Timestamp(nanoseconds: 0), version: version)
    let layer = version.layers.last.map { layer in
      Inode(
        id: layer.inode, kind: .layer, mode: 0, owner: 0, group: 0, links: 0,
        time: Timestamp(nanoseconds: 0), parent: inode.id, version: Version(layer.content))
    }
    let entry = RowValue(bytes: [], child: inode.id)
    let unsettled = RowWrite(
      .entry(parent: InodeID(0), name: Fixture.fileName("\(inode.id)")),
      version.isSettled ? nil : entry)
    let name = RowWrite(.entry(parent: .root, name: Fixture.fileName(file.name)), entry)
    return [inode.row, unsettled] + (layer.map { [$0.row] } ?? []) + (isNamed ? [name] : [])
  }

  /// Removes a part on all servers.
  func remove(_ part: PartIndex, of content: Content) throws {
    let id = PartID(version: content.id, part: part)
    for server in 0..<4 {
      for path in partFiles(of: server) where path.hasSuffix("/\(id)") {
        try FileManager.default.removeItem(atPath: path)
      }
    }
  }
}
