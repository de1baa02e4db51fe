import DFSClient
import DFSCore

/// The regular files under some paths, in batches, so that a tree of any size takes the memory of its
/// largest directories only. A file with several names comes once.
struct FileWalk {
  struct File: Sendable {
    let path: RemotePath
    let inode: Inode
  }

  private static let batch = 256

  private let service: any FileService
  /// What is still to be looked at, the next one last.
  private var waiting: [File] = []
  /// Files with several names that came already.
  private var seen: Set<InodeID> = []

  /// - Throws: if one of the paths is not there.
  init(_ paths: [RemotePath], on service: any FileService) async throws {
    self.service = service
    for path in paths.reversed() {
      waiting.append(File(path: path, inode: try await path.resolve(on: service)))
    }
  }

  /// The next files; none at the end. Directories that are removed meanwhile are left out.
  mutating func next() async throws -> [File] {
    var files: [File] = []
    while files.count < Self.batch, let item = waiting.popLast() {
      switch item.inode.kind {
      case .directory: try await open(item)
      case .regular: if isNew(item.inode) { files.append(item) }
      default: break
      }
    }
    return files
  }

  private mutating func open(_ directory: File) async throws {
    do {
      let items = try await service.list(directory.inode.id, .current)
      for item in items.reversed() where [.directory, .regular].contains(item.inode.kind) {
        waiting.append(File(path: directory.path.appending(item.name), inode: item.inode))
      }
    } catch let error as DFSError where [.staleHandle, .notFound].contains(error.code) {
      return
    }
  }

  private mutating func isNew(_ inode: Inode) -> Bool {
    inode.links < 2 || seen.insert(inode.id).inserted
  }
}
