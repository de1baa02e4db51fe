internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import GRDB
internal import Glibc
internal import Synchronization

/// What one directory has of a user: a database, perhaps, and copies.
///
/// Copies are only found here; whether their bytes are right is `OfflinePart`'s to say. Also those
/// that a server has quarantined are found: of a copy with one bad block the other blocks are good.
final class OfflineUser: Sendable {
  /// How far the database can be used.
  enum Names: Sendable {
    case absent
    case unreadable(DFSError)
    case opened(OfflineDatabase)
  }

  let directory: OfflineDirectory
  let path: String
  let names: Names
  private let folders: PartFolders
  private let quarantined: [PartID: [String]]

  /// - Throws: what has nothing to do with damage: no permission, no room, an interruption.
  init(
    _ user: UserName, in directory: OfflineDirectory, scratch: String,
    watching progress: RescueProgress
  ) throws {
    self.directory = directory
    path = "\(directory.path)/\(user)"
    folders = PartFolders(directory: path + "/parts")
    do {
      names =
        try OfflineDatabase.open(path, scratch: scratch, watching: progress).map(Names.opened)
        ?? .absent
    } catch {
      let error = DFSError.database(error, path)
      if [.accessDenied, .noSpace, .cancelled].contains(error.code) { throw error }
      names = .unreadable(error)
    }
    quarantined = Self.quarantined(in: path + "/damaged")
  }

  var database: OfflineDatabase? {
    if case .opened(let database) = names { database } else { nil }
  }

  private static func quarantined(in directory: String) -> [PartID: [String]] {
    let names = (try? Disk.names(in: directory)) ?? []
    return names.reduce(into: [:]) { found, name in
      guard let dot = name.lastIndex(of: "."), let id = PartID(fileName: String(name[..<dot]))
      else { return }
      found[id, default: []].append("\(directory)/\(name)")
    }
  }

  /// The copies of a part here, the most trustworthy first.
  /// - Parameter note: told of a copy that is there and cannot be opened.
  func copies(of id: PartID, note: (String) -> Void) -> [OfflineCopy] {
    var copies: [OfflineCopy] = []
    for path in ["\(folders.path(of: id.version))/\(id)"] + (quarantined[id] ?? []) {
      do throws(DFSError) {
        copies.append(.file(try File(path, flags: O_RDONLY)))
      } catch {
        if error.code != .notFound { note("a copy cannot be used: \(error)") }
      }
    }
    if let row = inlineCopy(of: id) { copies.append(row) }
    return copies
  }

  /// The small copy that is kept in the database. One in a page that is damaged is not there.
  private func inlineCopy(of id: PartID) -> OfflineCopy? {
    guard let database = database?.database,
      let part = try? database.pool.unsafeRead({ db in try CopyTables.part(id, db) })
    else { return nil }
    return .row(part, database: "\(path)/\(NamespaceDatabase.fileName)")
  }
}
