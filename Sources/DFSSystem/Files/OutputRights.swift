public import DFSCore
internal import Glibc

/// Which owners, permissions and extended attributes a tree gets that is written to this machine's disk.
///
/// Whoever wrote the tree, or the server that it comes from, must not make programs here that run as somebody
/// else, nor devices, unless the person who rebuilds it says that it is trusted.
public struct OutputRights: Hashable, Sendable {
  /// The files go to their owners: this is root.
  public let setsOwners: Bool
  /// Set-user-ID and set-group-ID bits, devices, and attributes that give privileges are kept.
  public let isPrivileged: Bool

  /// - Parameter privileged: whether the tree is trusted; without root it makes no difference.
  public init(privileged: Bool) {
    setsOwners = geteuid() == 0
    isPrivileged = privileged && setsOwners
  }

  /// The permission bits that it gets. On a directory the set-group-ID bit is no privilege.
  public func mode(of inode: Inode) -> UInt32 {
    isPrivileged || inode.kind == .directory ? inode.mode : inode.mode & 0o1777
  }

  /// Whether it gets fewer permission bits than it has.
  public func dropsBits(of inode: Inode) -> Bool { mode(of: inode) != inode.mode }

  /// Whether the tree may get an object of this kind: devices only where it is trusted.
  public func mayMake(_ kind: FileKind) -> Bool {
    isPrivileged || kind != .characterDevice && kind != .blockDevice
  }

  /// Whether it may have the attribute: `security.capability` is a set-user-ID bit by another name
  /// (<https://man7.org/linux/man-pages/man7/capabilities.7.html>).
  public func maySet(_ attribute: AttributeName) -> Bool {
    isPrivileged || !Self.privileged.contains { attribute.bytes.starts(with: $0.utf8) }
  }

  private static let privileged = ["security.", "trusted."]

  /// Owner, permission bits and times of an open file or directory, in an order in which none undoes
  /// another.
  /// - Parameter setAttributes: sets the extended attributes, which go between the first two.
  public func apply(
    _ inode: Inode, to descriptor: Int32, path: String, setAttributes: () throws -> Void
  ) throws {
    func failure(_ verb: String) -> DFSError {
      let number = errno
      return DFSError(
        DFSError.Code(systemError: number),
        "\(verb) \(path.printable): \(String(cString: strerror(number)))")
    }
    if setsOwners, fchown(descriptor, inode.owner, inode.group) != 0 {
      throw failure("giving to its owner")
    }
    try setAttributes()
    guard fchmod(descriptor, mode(of: inode)) == 0 else {
      throw failure("setting the permissions of")
    }
    guard futimens(descriptor, Timestamp.systemTimes(inode)) == 0 else {
      throw failure("setting the times of")
    }
  }
}
