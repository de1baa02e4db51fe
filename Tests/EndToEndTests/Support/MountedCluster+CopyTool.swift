import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// Damages copies behind the servers' backs: part files, and rows of the database for small parts.
///
/// Tests that use it store contents that are placed by x = 0: part 1 is on DFS4 and DFS1, part 2 on
/// DFS1 and DFS2, part 3 on DFS2 and DFS3, part 4 on DFS3 and DFS4.
extension MountedCluster {
  /// `copy.py flip|delete SERVER-DIRECTORY NAME PART OFFSET`; it fails if there is no such copy.
  private static let script = """
    import glob, os, sqlite3, sys
    action, directory, name, part, offset = sys.argv[1:]
    part, offset = int(part), int(offset)
    [path] = glob.glob(directory + "/**/namespace.sqlite", recursive=True)
    db = sqlite3.connect(path, timeout=20)
    [(version,)] = db.execute("select inode.version from inode join entry on entry.child = inode.id "
        "where entry.name = ?", [name.encode()])
    row = db.execute("select bytes from part where version = ? and part = ?", [version, part])
    row = row.fetchone()
    if row:
        data = bytearray(row[0])
        data[offset] ^= 1
        with db:
            if action == "flip":
                db.execute("update part set bytes = ? where version = ? and part = ?",
                    [bytes(data), version, part])
            else:
                db.execute("delete from part where version = ? and part = ?", [version, part])
    else:
        hex = version.hex()
        file = os.path.join(os.path.dirname(path), "parts", hex[:2], f"{hex}.{part}")
        if action == "flip":
            with open(file, "r+b") as f:
                f.seek(offset)
                old = f.read(1)
                f.seek(offset)
                f.write(bytes([old[0] ^ 1]))
        else:
            os.remove(file)
    # What other servers keep of it for a while would stand in.
    for other in glob.glob(os.path.dirname(directory) + "/DFS?/*/namespace.sqlite"):
        with sqlite3.connect(other, timeout=20) as keeper:
            keeper.execute("delete from escrow where version = ? and part = ?", [version, part])
    """

  private func change(
    _ action: String, _ name: String, _ part: Int, _ server: ServerIndex, _ offset: Int,
    _ location: SourceLocation
  ) async throws {
    let file = servers.directory + "/copy.py"
    try Self.script.write(toFile: file, atomically: true, encoding: .utf8)
    try await shell.succeed(
      "python3 $DIR/copy.py \(action) $DIR/\(server) \(name) \(part) \(offset)", at: location)
  }

  /// Changes one byte of a copy: of part `part` (1 to 4), at `offset` of the part.
  func flip(
    _ name: String, part: Int, on server: ServerIndex, at offset: Int,
    location: SourceLocation = #_sourceLocation
  ) async throws {
    try await change("flip", name, part, server, offset, location)
  }

  func delete(
    _ name: String, part: Int, on server: ServerIndex, location: SourceLocation = #_sourceLocation
  ) async throws {
    try await change("delete", name, part, server, 0, location)
  }
}
