import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// The file layer that fails on demand does what it is told: no more and no less.
  @Suite struct FailingFilesLayer {
    private static let program = """
      import errno, os, sys
      def number(call):
          try: call(); return 0
          except OSError as error: return error.errno
      def calls(path):
          file = os.open(path, os.O_RDWR | os.O_CREAT)
          buffer = bytearray(4)
          result = [
              [number(c) for c in calls] for calls in (
                  [lambda: os.read(file, 4), lambda: os.pread(file, 4, 0),
                   lambda: os.readv(file, [buffer]), lambda: os.preadv(file, [buffer], 0)],
                  [lambda: os.write(file, b"more"), lambda: os.pwrite(file, b"more", 0),
                   lambda: os.writev(file, [b"more"]), lambda: os.pwritev(file, [b"more"], 0),
                   lambda: os.posix_fallocate(file, 0, 100), lambda: os.ftruncate(file, 50)],
                  [lambda: os.fsync(file), lambda: os.fdatasync(file)])]
          os.close(file)
          return result
      fail, spare = sys.argv[1], sys.argv[2]
      print(calls(fail))
      assert not any(any(kind) for kind in calls(spare)), calls(spare)
      """

    @Test func failsWhatItIsToldTo() async throws {
      let folder = NSTemporaryDirectory() + "failing-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let failing = FailingFiles(control: folder + "/control")
      try failing.prepare()
      try Self.program.write(toFile: folder + "/calls.py", atomically: true, encoding: .utf8)
      let shell = Shell(["F": folder].merging(failing.environment) { $1 })
      func outcome() async throws -> String {
        try await shell.succeed("python3 $F/calls.py $F/bad/1.txt $F/good.txt").line
      }
      try await shell.succeed("mkdir $F/bad")
      #expect(try await outcome() == "[[0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0]]")
      try failing.fail(.read, EIO, ["*/other", "*/bad/*"])
      #expect(try await outcome() == "[[5, 5, 5, 5], [0, 0, 0, 0, 0, 0], [0, 0]]")
      #expect(failing.struck == 4 && failing.retried == 0)
      try failing.fail(.write, ENOSPC, ["*/bad/*"])
      #expect(try await outcome() == "[[0, 0, 0, 0], [28, 28, 28, 28, 28, 28], [0, 0]]")
      try failing.fail(.sync, EIO, ["*/bad/?.txt"])
      #expect(try await outcome() == "[[0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [5, 5]]")
      // Of the same descriptor.
      #expect(failing.struck == 2 && failing.retried == 1)
      try failing.lift()
      #expect(try await outcome() == "[[0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0]]")
      #expect(failing.struck == 2 && failing.retried == 1)
    }
  }
}
