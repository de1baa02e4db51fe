import DFSClient
import DFSCore

/// A path in the user's namespace: names between slashes, from the root. A slash in front changes
/// nothing; `.` is the directory itself, `..` the one above.
struct RemotePath: Sendable, CustomStringConvertible {
  enum Step: Hashable, Sendable {
    case up
    case down(FileName)
  }

  let steps: [Step]
  /// Ends with a slash: names a directory.
  let isDirectory: Bool

  private static let linkLimit = 16

  /// - Parameter text: of the bytes, as `ByteText` has them.
  init(_ text: String) throws(DFSError) { try self.init(bytes: ByteText.bytes(of: text)) }

  init(bytes: [UInt8]) throws(DFSError) {
    guard bytes.count <= Limits.pathBytes else {
      throw DFSError(
        .nameTooLong, "a path of \(bytes.count) bytes; the limit is \(Limits.pathBytes)")
    }
    var steps: [Step] = []
    for component in bytes.split(separator: UInt8(ascii: "/")) {
      if component.elementsEqual(".".utf8) { continue }
      steps.append(component.elementsEqual("..".utf8) ? .up : .down(try FileName(component)))
    }
    self.steps = steps
    isDirectory = bytes.last == UInt8(ascii: "/") || steps.isEmpty
  }

  private init(steps: [Step], isDirectory: Bool) {
    self.steps = steps
    self.isDirectory = isDirectory
  }

  var bytes: [UInt8] {
    let names = steps.map { step in
      if case .down(let name) = step { name.bytes } else { Array("..".utf8) }
    }
    return names.isEmpty ? [UInt8(ascii: "/")] : Array(names.joined(separator: "/".utf8))
  }

  /// The bytes as `ByteText` has them.
  var text: String { ByteText.text(of: bytes) }
  /// For people.
  var description: String { text.printable }

  func appending(_ name: FileName) -> RemotePath {
    RemotePath(steps: steps + [.down(name)], isDirectory: false)
  }

  /// The path without its last name, and that name.
  func split() throws(DFSError) -> (directory: RemotePath, name: FileName) {
    guard case .down(let name)? = steps.last else {
      throw DFSError(
        .invalidArgument,
        "'\(self)' is the root, or ends with no name; name a file or directory in it")
    }
    return (RemotePath(steps: steps.dropLast(), isDirectory: true), name)
  }

  // MARK: Looking

  /// The inode at this path; symbolic links are followed, the last one too if `following`.
  func resolve(on service: any FileService, following: Bool = true) async throws -> Inode {
    do {
      var links = 0
      let root = try await service.inode(.root, .current)
      let inode = try await Self.walk(
        steps[...], from: root, on: service, following: following || isDirectory, links: &links)
      guard !isDirectory || inode.kind == .directory else {
        throw DFSError(.notDirectory, "\(self) is not a directory")
      }
      return inode
    } catch let error as DFSError where error.code == .notFound {
      throw DFSError(
        .notFound,
        error.message.hasPrefix("it ") ? error.message : "there is no '\(self)' on the servers")
    }
  }

  /// The inode at this path, or nil if there is none.
  func find(on service: any FileService, following: Bool = true) async throws -> Inode? {
    do {
      return try await resolve(on: service, following: following)
    } catch let error as DFSError where error.code == .notFound {
      return nil
    }
  }

  private static func walk(
    _ steps: ArraySlice<Step>, from start: Inode, on service: any FileService, following: Bool,
    links: inout Int
  ) async throws -> Inode {
    var inode = start
    for (index, step) in zip(steps.indices, steps) {
      guard inode.kind == .directory else {
        throw DFSError(.notDirectory, "what comes before the last slash is not a directory")
      }
      switch step {
      case .up: inode = try await service.inode(inode.parent, .current)
      case .down(let name):
        let next = try await service.lookup(inode.id, name, .current)
        let isLast = index == steps.index(before: steps.endIndex)
        inode =
          next.kind == .symlink && (following || !isLast)
          ? try await follow(next, from: inode, on: service, links: &links) : next
      }
    }
    return inode
  }

  private static func follow(
    _ link: Inode, from directory: Inode, on service: any FileService, links: inout Int
  ) async throws -> Inode {
    links += 1
    guard links <= linkLimit else {
      throw DFSError(.loop, "more than \(linkLimit) symbolic links follow each other")
    }
    guard link.target.first != UInt8(ascii: "/") else {
      let target = ByteText.text(of: link.target).printable
      throw DFSError(.notFound, "it is a symbolic link to \(target), which is outside")
    }
    return try await walk(
      try RemotePath(bytes: link.target).steps[...], from: directory, on: service, following: true,
      links: &links)
  }
}
