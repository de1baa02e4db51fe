import DFSCore
import Foundation
import Testing

@testable import DFSSystem

/// Files that go with their descriptor.
@Suite struct UnnamedFileTests {
  private let place = NSTemporaryDirectory() + "unnamed-\(UUID().uuidString)"

  /// Also in a directory whose name is no UTF-8: the spool of such a cache directory could not be made.
  @Test(arguments: [[UInt8]("plain".utf8), [0x66, 0xff, 0xfe]])
  func leavesNoName(name: [UInt8]) throws {
    let directory = place + ByteText.text(of: name)
    #expect(mkdir(directory.systemPath, 0o700) == 0)
    let descriptor = UnnamedFile.open(in: directory)
    try #require(descriptor >= 0, "errno \(errno)")
    defer { close(descriptor) }
    var written: [UInt8] = [1, 2, 3]
    #expect(pwrite(descriptor, &written, 3, 5) == 3)
    var read = [UInt8](repeating: 0, count: 3)
    #expect(pread(descriptor, &read, 3, 5) == 3)
    #expect(read == written)
    #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
    // Nothing is in the way of removing the directory.
    #expect(rmdir(directory.systemPath) == 0)
  }

  @Test func aDirectoryThatIsNotThereIsAnError() {
    #expect(UnnamedFile.open(in: place + "/none") == -1)
    #expect(errno == ENOENT)
  }
}
