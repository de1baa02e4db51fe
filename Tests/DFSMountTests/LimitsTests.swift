import DFSClient
import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Glibc
import Synchronization
import Testing

@testable import DFSMount

/// What the mount keeps for the kernel goes when the kernel lets go of it.
extension OnAMount {
  @Suite struct Limits {
    private static let dropsCaches = "/proc/sys/vm/drop_caches"
    private static let mayDropCaches = access(dropsCaches, W_OK) == 0

    private func makeAndLookAt(_ count: Int, _ mounted: Mounted) async throws {
      try await mounted.succeed(
        """
        mkdir $M/d
        for ((i = 0; i < \(count); i++)); do : > $M/d/$i; done
        [ $(ls -lR $M/d | grep -c ^-) = \(count) ]; [ $(find $M/d -type f -size 0 | wc -l) = \(count) ]
        """)
    }

    @Test(.needsFuse) func removedFilesAreForgotten() async throws {
      try await Mounted.run { mounted in
        let nodes = mounted.mounts[0].fileSystem.nodes
        try await makeAndLookAt(2000, mounted)
        #expect(nodes.count > 2000)
        try await mounted.succeed("rm -r $M/d")
        try await eventually("the mount knows no inode", within: .seconds(30)) { nodes.count == 0 }
        #expect(mounted.mounts[0].fileSystem.handles.isEmpty)
      }
    }

    @Test(
      .needsFuse, .enabled(if: mayDropCaches, "only root empties the kernel's caches"))
    func whatTheKernelForgetsIsForgotten() async throws {
      try await Mounted.run { mounted in
        let nodes = mounted.mounts[0].fileSystem.nodes
        try await makeAndLookAt(2000, mounted)
        for _ in 0..<2 {
          // Others may empty the kernel's caches, too.
          try await eventually("all inodes are known", within: .seconds(30)) {
            try await mounted.succeed("ls -lR $M/d > /dev/null")
            return nodes.count > 2000
          }
          try await eventually("the mount knows no inode", within: .seconds(30)) {
            try await mounted.succeed("echo 2 > \(Self.dropsCaches)")
            return nodes.count == 0
          }
          try await mounted.succeed("[ $(ls -lR $M/d | grep -c ^-) = 2000 ]")
        }
      }
    }

    /// A directory that needs several answers was listed without end when any file was open.
    @Test(.needsFuse) func aLargeDirectoryEndsThoughAFileIsOpen() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          mkdir $M/d; for ((i = 0; i < 2000; i++)); do : > $M/d/$i; done
          exec 3> $M/d/open 4< $M/d/7
          for list in 'ls -l' 'ls -lU' 'ls -f'; do
            [ $(timeout 20 $list $M/d | grep -Ecv '^total|[.]$') = 2001 ]
          done
          [ "$(ls $M/d | sort | uniq -d)" = '' ]
          """)
      }
    }

    /// Every file is opened for writing and reading, and has its spool on disk.
    @Test(.needsFuse) func aThousandOpenFilesLeaveNothingOpen() async throws {
      try await Mounted.run(configure: { $0.spoolMemoryBytes = 0 }) { mounted in
        let fileSystem = mounted.mounts[0].fileSystem
        for _ in 0..<2 {
          try await mounted.succeed(
            """
            ulimit -n 2100
            python3 -c '
            import os
            names = [os.environ["M"] + "/%d" % i for i in range(1000)]
            writers = [open(name, "wb", buffering=0) for name in names]
            for writer in writers: writer.write(b"some")
            readers = [open(name, "rb", buffering=0) for name in names]
            assert all(reader.read() == b"some" for reader in readers)
            '
            """)
          try await eventually("everything is closed", within: .seconds(30)) {
            fileSystem.handles.isEmpty && fileSystem.files.isEmpty
              && descriptors(in: mounted.directory) == 0
          }
        }
        #expect(mounted.files.state.withLock { $0.holds.isEmpty })
      }
    }

    /// Descriptors of this process, in which the mount is, that lead into a directory.
    private func descriptors(in directory: String) -> Int {
      let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
      return numbers.count {
        let target = try? FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/self/fd/\($0)")
        return target?.hasPrefix(directory + "/cache") ?? false
      }
    }
  }
}

/// What an answer with entries of a directory costs.
@Suite struct DirectoryAnswerTests {
  /// Of 100,000 entries 4,096 were computed for each of the thousands of answers, when any file was
  /// open.
  @Test func anAnswerComputesAsManyEntriesAsFit() async throws {
    let service = MemoryClient(MemoryFiles())
    var client = ClientConfiguration(servers: [])
    client.cacheDirectory = NSTemporaryDirectory() + "dfs-cache-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: client.cacheDirectory ?? "") }
    let fileSystem = FileSystem(
      service: service, configuration: try MountConfiguration(mountpoint: "/mnt", client: client),
      source: "memory", logger: CapturedLog().logger)
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    var open: Inode?
    for index in 0..<1000 { open = try await service.create(.root, FileName("\(index)"), new) }
    if let open {
      _ = fileSystem.files.open(open, since: fileSystem.kernel.mark, context: fileSystem.context)
    }
    guard case .opened(let opened) = fileSystem.openDirectory(.root) else { return }
    let reply = try await fileSystem.readDirectory(
      opened.handle, after: 0, size: 4096, withAttributes: true)
    guard case .directory(let page) = reply else {
      Issue.record("\(reply)")
      return
    }
    #expect(page.items.count <= 4096 / FileSystem.itemBytes + 1)
    #expect(page.items.count >= 4096 / FileSystem.itemBytes, "and no fewer")
  }
}
