import Foundation
import Testing

/// Why a test of real processes may be skipped on a machine; each reason is printed with the test.
enum Requirements {
  /// `/dev/fuse` can be opened and fusermount3 is there.
  static let fuse: Bool = {
    let handle = FileHandle(forUpdatingAtPath: "/dev/fuse")
    try? handle?.close()
    return handle != nil && FileManager.default.isExecutableFile(atPath: "/usr/bin/fusermount3")
  }()

  /// Temporary files are on ext4, with which mounts are compared: of the mountpoints that the
  /// directory is in (/proc/self/mounts, proc_pid_mounts(5)) the longest, which is the last.
  static let ext4: Bool = {
    let place = URL(fileURLWithPath: NSTemporaryDirectory()).resolvingSymlinksInPath().path + "/"
    let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
    let words = mounts.split(separator: "\n").map { $0.split(separator: " ") }
    let around = words.filter {
      $0.count > 2 && ($0[1] == "/" || place.hasPrefix($0[1] + "/"))
    }
    return around.max { $0[1].count < $1[1].count }?[2] == "ext4"
  }()

  /// A network namespace can be made: by root, with iproute2, where the kernel lets it.
  static let networks: Bool = {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = [
      "-c",
      "n=dfs-probe-$$; ip netns add $n && ip -n $n link add name one type veth peer name two; s=$?; ip netns del $n; exit $s",
    ]
    process.standardError = FileHandle.nullDevice
    guard geteuid() == 0, (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  /// Programs of PostgreSQL, which Debian keeps in a directory of the version.
  static let postgreSQL: Bool = {
    let versions = try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")
    return (versions ?? []).contains {
      FileManager.default.isExecutableFile(atPath: "/usr/lib/postgresql/\($0)/bin/initdb")
    }
  }()

  /// Tests of files of gigabytes take minutes and 15 GiB of disk.
  static let large = ProcessInfo.processInfo.environment["DFS_TEST_LARGE"] == "1"
}

extension Trait where Self == ConditionTrait {
  static var needsFuse: Self {
    .enabled(if: Requirements.fuse, "needs a mount, and /dev/fuse cannot be opened here")
  }

  static var needsExt4: Self {
    .enabled(if: Requirements.ext4, "compares with ext4; set TMPDIR to a directory on one")
  }

  static var needsNetworks: Self {
    .enabled(
      if: Requirements.networks,
      "needs network namespaces: root, iproute2, and a kernel or container that allows them")
  }

  /// - Parameter package: of Debian.
  static func needsProgram(_ name: String, of package: String) -> Self {
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/\(name)"),
      "needs \(name); run: apt-get install \(package)")
  }

  static var needsPostgreSQL: Self {
    .enabled(if: Requirements.postgreSQL, "needs PostgreSQL; run: apt-get install postgresql")
  }

  static var needsRoot: Self {
    .enabled(if: geteuid() == 0, "needs root, to change owners")
  }

  static var large: Self {
    .enabled(if: Requirements.large, "5 GiB files; run scripts/test --all (or DFS_TEST_LARGE=1)")
  }
}

/// Everything that runs real processes, one after the other: the machine's ports, disk and
/// processors are shared.
@Suite(.serialized) enum EndToEnd {}
