internal import DFSConfiguration
public import DFSCore
internal import Glibc

/// The `-o` options of a mount.
public struct MountOptions: Hashable, Sendable {
  /// Others than who mounted may use the mount. Mounted by root, the stored owners count then.
  public var allowOther = false
  /// `ro`: nothing can be written through the mount.
  public var isReadOnly = false
  /// Whom all files seem to belong to.
  public var user: UInt32?
  /// Which group all files seem to belong to; nil: the process's, unless the stored ones count.
  public var group: UInt32?
  /// Permission bits that are hidden.
  public var mask: UInt32 = 0
  /// What `df` shows as the file system; nil: `USER@CLUSTER`.
  public var sourceName: String?
  /// What follows `fuse.` in the type of the file system (mount.fuse3(8)).
  public var subtype = "dfs"
  /// Seconds for which the kernel may answer from its own memory, as long as servers push changes,
  /// of which it is told; where they may not be heard of, and of what is open, a second at the most.
  public var entryTimeoutSeconds = 60.0
  /// The same for attributes (`attr_timeout`).
  public var attributeTimeoutSeconds = 60.0
  /// When changes are stored as layers.
  var layers = LayerPolicy.auto
  /// Locks hold among all mounts of the user; else within this one.
  var locksAmongAll = true
  /// Reading moves times of access, as far as `relatime` does.
  public var movesAccessTimes = false
  /// Nil: as dfc.conf says.
  public var writes: WritePolicy?
  /// Nil: as dfc.conf says.
  public var heals: Bool?
  /// What mount(8) itself understands.
  public var flags: [String] = []

  /// The options of a mount without `-o`.
  public init() {}

  private static let knownFlags: Set<String> = [
    "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "atime",
    "dirsync", "nodiratime", "auto_unmount", "blkdev",
  ]
  /// What mount(8) and fstab say to themselves.
  private static let ignored: Set<String> = [
    "defaults", "auto", "noauto", "user", "nouser", "users", "group", "owner", "nofail", "_netdev",
    "silent", "loud", "mand", "nomand", "lazytime", "nolazytime",
  ]

  /// Reads lists as `-o` takes them: `a,b=c,d`. Later ones win.
  public init(parsing lists: [String]) throws(DFSError) {
    for option in lists.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: true) }) {
      let words = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      try set(String(words[0]), words.count == 2 ? String(words[1]) : nil)
    }
  }

  private mutating func set(_ key: String, _ value: String?) throws(DFSError) {
    guard let value else { return try setFlag(key) }
    switch key {
    case "uid": user = try Self.number(key, value)
    case "gid": group = try Self.number(key, value)
    case "umask": mask = try Self.number(key, value, radix: 8)
    case "fsname": sourceName = value
    case "subtype": subtype = value
    case "entry_timeout": entryTimeoutSeconds = try Self.seconds(key, value)
    case "attr_timeout": attributeTimeoutSeconds = try Self.seconds(key, value)
    case "holes": break  // Of earlier releases, which stored holes.
    case "layers":
      guard let policy = LayerPolicy(rawValue: value) else {
        throw Self.wrong("layers=\(value)", "layers is 'auto' or 'always'")
      }
      layers = policy
    case "locks":
      guard value == "mount" || value == "cluster" else {
        throw Self.wrong("locks=\(value)", "locks is 'mount' or 'cluster'")
      }
      locksAmongAll = value == "cluster"
    case "writes":
      guard let policy = WritePolicy(rawValue: value) else {
        throw Self.wrong("writes=\(value)", "writes is 'all' or 'quorum'")
      }
      writes = policy
    case "heal":
      guard let heal = Switch(rawValue: value) else {
        throw Self.wrong("heal=\(value)", "heal is 'on' or 'off'")
      }
      heals = heal == .on
    case _ where key.hasPrefix("x-"): break
    default: throw Self.wrong("\(key)=\(value)", "dfs-mount --help lists the options")
    }
  }

  private mutating func setFlag(_ key: String) throws(DFSError) {
    switch key {
    case "allow_other": allowOther = true
    case "default_permissions": break  // The kernel always checks owner and mode here.
    case "relatime", "strictatime", "noatime", "norelatime":
      movesAccessTimes = key == "relatime" || key == "strictatime"
      if key == "noatime" { flags.append(key) }
    case "ro": isReadOnly = true
    case "rw": isReadOnly = false
    case _ where Self.knownFlags.contains(key): flags.append(key)
    case _ where Self.ignored.contains(key) || key.hasPrefix("x-"): break
    default: throw Self.wrong(key, "dfs-mount --help lists the options")
    }
  }

  private static func wrong(_ option: String, _ remedy: String) -> DFSError {
    DFSError(.configuration, "mount option '\(option.printable)' is not known so; \(remedy)")
  }

  private static func number(
    _ key: String, _ value: String, radix: Int = 10
  ) throws(DFSError) -> UInt32 {
    guard let number = UInt32(value, radix: radix) else {
      throw wrong("\(key)=\(value)", "\(key) takes a number" + (radix == 8 ? " in octal" : ""))
    }
    return number
  }

  private static func seconds(_ key: String, _ value: String) throws(DFSError) -> Double {
    guard let seconds = Double(value), seconds >= 0, seconds <= 86400 else {
      throw wrong("\(key)=\(value)", "\(key) takes seconds, 0 to 86400")
    }
    return seconds
  }

  // MARK: What follows from them

  /// What libfuse is told.
  func fuseOptions(source: String) -> String {
    let name = (sourceName ?? source).replacing(",", with: "_")
    var words = ["fsname=\(name)", "subtype=\(subtype)", "default_permissions"]
    if allowOther { words.append("allow_other") }
    if isReadOnly { words.append("ro") }
    return (words + flags).joined(separator: ",")
  }

  /// As whom files are shown.
  var ownership: Ownership {
    let keepsOwners = allowOther && geteuid() == 0 && user == nil && group == nil
    return Ownership(
      user: keepsOwners ? nil : user ?? getuid(), group: keepsOwners ? nil : group ?? getgid(),
      mask: mask)
  }
}
