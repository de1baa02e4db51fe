internal import DFSCore
internal import Synchronization

/// What all spools of a mount may take together, on disk and in memory. Bytes.
final class SpoolBudget: Sendable {
  private struct Used {
    var disk: UInt64 = 0
    var memory = 0
  }

  /// Blocks that a write may take beside its own bytes. Bytes.
  static let slackBytes: UInt64 = 8192

  let directory: String
  /// Bytes of one range that a spool has in memory at most.
  let memoryPerFile: Int
  /// A spool is to lack fewer ranges than these of the version below.
  let rangesPerFile: Int
  private let diskLimit: UInt64
  private let memoryLimit: Int
  private let used = Mutex(Used())

  init(
    directory: String, diskLimit: UInt64, memoryPerFile: Int, memoryLimit: Int = 64 << 20,
    rangesPerFile: Int = 65_536
  ) {
    self.directory = directory
    self.diskLimit = diskLimit
    self.memoryPerFile = memoryPerFile
    self.memoryLimit = memoryLimit
    self.rangesPerFile = rangesPerFile
  }

  /// Changes what one spool takes on disk.
  /// - Parameter isSpare: it is to leave half of the limit to what is written.
  func charge(disk old: UInt64, to new: UInt64, isSpare: Bool = false) throws(DFSError) {
    let fits = used.withLock { used in
      let total = used.disk - old + new
      guard new <= old || total <= (isSpare ? diskLimit / 2 : diskLimit) else { return false }
      used.disk = total
      return true
    }
    guard fits else {
      throw DFSError(
        .noSpace,
        "the spool in \(directory) is full (\(diskLimit) bytes): close written files or raise "
          + "Spool-Size")
    }
  }

  /// Notes what one spool takes on disk by now.
  func correct(disk old: UInt64, to new: UInt64) {
    used.withLock { $0.disk = $0.disk - min(old, $0.disk) + new }
  }

  /// Changes what one spool takes in memory.
  /// - Returns: whether that much may be taken.
  func charge(memory old: Int, to new: Int) -> Bool {
    used.withLock { used in
      let total = used.memory - old + new
      guard new <= old || total <= memoryLimit else { return false }
      used.memory = total
      return true
    }
  }

  var bytesOnDisk: UInt64 { used.withLock { $0.disk } }
  var bytesFree: UInt64 { diskLimit - min(diskLimit, bytesOnDisk) }
}
