import DFSCore
import DFSTestSupport
import Foundation
import Testing

/// Four real servers and one or more real mounts of them, in a directory of their own, all removed
/// in the end.
///
/// Scripts find what they need in their environment: `CONF` is dfc.conf, `M` the first mount, `M2`
/// the second, `LOCAL` a directory of the local disk, `DIR` where the servers' directories are.
struct MountedCluster: Sendable {
  let servers: FourServers
  let shell: Shell
  let mounts: [String]
  /// `-o` of every mount; DFS_TEST_MOUNT_OPTIONS are added to what a test asks for.
  let mountOptions: String

  var mount: String { mounts[0] }
  var local: String { servers.directory + "/local" }

  /// Starts, runs `body`, and takes everything down whatever `body` did.
  static func run(
    mounts count: Int = 1, arguments: [String] = [], mountOptions: String = "rw",
    withFailingFiles: Bool = false, crashPoints: Bool = false,
    _ body: (MountedCluster) async throws -> Void
  ) async throws {
    let cluster = try await MountedCluster(
      mounts: count, arguments: arguments, mountOptions: mountOptions,
      withFailingFiles: withFailingFiles, crashPoints: crashPoints)
    do {
      for mount in cluster.mounts { try await cluster.startMount(mount) }
      try await body(cluster)
    } catch {
      Issue.record("\(error)\n\(cluster.logs)")
    }
    try await cluster.tearDown()
  }

  private init(
    mounts count: Int, arguments: [String], mountOptions: String, withFailingFiles: Bool,
    crashPoints: Bool
  ) async throws {
    let added = ProcessInfo.processInfo.environment["DFS_TEST_MOUNT_OPTIONS"]
    self.mountOptions = ([mountOptions] + [added].compactMap(\.self)).joined(separator: ",")
    servers = try await FourServers(
      arguments: arguments, withFailingFiles: withFailingFiles, crashPoints: crashPoints)
    let directory = servers.directory
    mounts = (0..<count).map { directory + "/mount\($0 + 1)" }
    for folder in mounts + [directory + "/local", directory + "/cache"] {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    var variables = [
      "DIR": directory, "CONF": servers.configurationFile, "LOCAL": directory + "/local",
      "HOME": directory, "XDG_CACHE_HOME": directory + "/cache",
    ]
    for (index, mount) in mounts.enumerated() {
      variables[index == 0 ? "M" : "M\(index + 1)"] = mount
    }
    variables["BASH_ENV"] = directory + "/functions"
    try Self.functions.write(
      toFile: directory + "/functions", atomically: true, encoding: .utf8)
    shell = Shell(variables)
  }

  /// For scripts: the process of a server (`server_pid DFS2`) or of a mount (`mount_pid $M`).
  private static let functions = """
    pid_of() {
      for p in $(pgrep -x "$1"); do
        if tr '\\0' ' ' 2>/dev/null </proc/$p/cmdline | grep -qF "$2"; then echo $p; fi
      done
    }
    server_pid() { pid_of dfs "$DIR/$1 "; }
    mount_pid() { pid_of dfs-mount "$1 "; }
    """

  // MARK: Mounts

  func startMount(_ mount: String, at location: SourceLocation = #_sourceLocation) async throws {
    try await shell.succeed(
      "dfs-mount -o \(mountOptions) $CONF \(mount) >> $DIR/mount.log 2>&1 || { cat $DIR/mount.log >&2; exit 1; }",
      seconds: 30, at: location)
  }

  func endMount(_ mount: String, at location: SourceLocation = #_sourceLocation) async throws {
    try await shell.succeed("dfs-mount --unmount \(mount)", at: location)
  }

  /// The process that serves a mount.
  func mountProcess(_ mount: String) async throws -> Int32? {
    Int32(try await shell.bash("mount_pid \(mount)").line)
  }

  /// Forgets what the kernel keeps of these files, so that the next read asks the servers.
  func forget(_ files: String) async throws {
    try await shell.succeed(
      "for f in \(files); do dd if=\"$f\" iflag=nocache count=0 status=none; done")
  }

  // MARK: Servers

  /// `-o` of mounts that write as `dfc` does by itself: with all four servers, or not at all.
  static let allServers = "writes=all"

  /// Waits until the mount has noticed that every server is back: a write is accepted again. It needs
  /// `allServers`, for else a write is accepted with three.
  func waitUntilWritable() async throws {
    try #require(mountOptions.contains(Self.allServers))
    try await eventually("a write is accepted again", within: .seconds(20)) {
      try await shell.bash("echo x > $M/.probe && rm $M/.probe").status == 0
    }
  }

  // MARK: The end

  private var logs: String {
    ServerIndex.all.map { "-- \($0)\n\(servers.log(of: $0).suffix(2000))" }.joined(separator: "\n")
  }

  private func tearDown() async throws {
    for server in ServerIndex.all { servers.thaw(server) }
    for mount in mounts {
      _ = try await shell.bash(
        "grep -q ' \(mount) ' /proc/self/mounts || exit 0; "
          + "timeout 10 dfs-mount --unmount \(mount) || umount -l \(mount)")
    }
    _ = try await shell.bash(
      """
      for i in $(seq 50); do [ -n "$(pid_of dfs-mount "$DIR/")" ] || exit 0; sleep 0.1; done
      kill -KILL $(pid_of dfs-mount "$DIR/")
      """)
    if ProcessInfo.processInfo.environment["DFS_TEST_KEEP"] == "1" { return }
    try await servers.remove()
  }
}
