internal import DFSCore
internal import Glibc
internal import Synchronization

/// What fallocate(2) asks for.
enum AllocationMode: Hashable, Sendable {
  /// Space is taken; the file grows, or keeps its size.
  case allocate(grows: Bool)
  /// A hole, within the file.
  case punch
  /// Zeros, with their space.
  case zero(grows: Bool)

  /// - Parameter flags: `FALLOC_FL_…`.
  init(flags: Int32) throws(DFSError) {
    switch flags {
    case 0: self = .allocate(grows: true)
    case 1: self = .allocate(grows: false)
    case 2 | 1: self = .punch
    case 16: self = .zero(grows: true)
    case 16 | 1: self = .zero(grows: false)
    default:
      throw DFSError(.unsupported, "fallocate with the flags \(flags) is not known here")
    }
  }
}

/// Ranges of open files: space, holes, and copies.
extension FileSystem {
  /// - Parameter flags: of fallocate(2).
  func allocate(
    _ handle: UInt64, flags: Int32, at offset: Int, count: Int,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let mode = try AllocationMode(flags: flags)
    let range = try Range(offset: offset, count: count)
    let handle = try handles.file(handle)
    let file = handle.file
    handle.hasChanged.store(true, ordering: .relaxed)
    switch mode {
    case .allocate(let grows):
      if grows { try await checkSpace(for: file, upTo: range.upperBound) }
      let size = file.size
      try await file.allocate(range, grows: grows, progress: progress)
      if file.size == size { try await touch(file, progress) }
    case .punch:
      try await file.zero(range, takesSpace: false, grows: false, progress: progress)
    case .zero(let grows):
      if grows { try await checkSpace(for: file, upTo: range.upperBound) }
      try await file.zero(range, takesSpace: true, grows: grows, progress: progress)
    }
    return .done
  }

  /// The servers set no space aside before a file is stored; that it can never fit is told at once.
  private func checkSpace(for file: OpenFile, upTo end: UInt64) async throws {
    let size = file.size
    guard end > size, let report = try? await space.report(), end - size > report.available else {
      return
    }
    throw DFSError(
      .noSpace, "\(end - size) bytes are asked for; the servers have room for \(report.available)")
  }

  /// - Parameter whence: of lseek(2).
  func seek(_ handle: UInt64, _ offset: Int, whence: Int32) async throws -> Reply {
    guard let sought = SpoolFile.Sought(whence: whence), offset >= 0 else {
      throw DFSError(.invalidArgument, "lseek from \(whence) to \(offset)")
    }
    let file = try handles.file(handle).file
    let isExact = await hasAllPages(of: file)
    return .position(try await file.seek(UInt64(offset), sought, isExact: isExact))
  }

  /// Whether no process can have written to the kernel's pages of a file what the kernel has not
  /// told yet: only a shared mapping does that, and only through a descriptor for both.
  private func hasAllPages(of file: OpenFile) async -> Bool {
    guard handles.isOpenForBoth(file.id) else { return true }
    let (id, device, others) = (file.id, device.withLock { $0 }, allowsOthers)
    let isMapped = try? await DiskQueue.run { () throws(DFSError) in
      Mappings.exist(of: id, device: device, trustsHidden: !others)
    }
    return isMapped == false
  }

  /// - Parameter flags: of copy_file_range(2).
  func copy(
    _ source: UInt64, at start: Int, to target: UInt64, at offset: Int, count: Int,
    flags: Int32, progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    guard flags == 0 else {
      throw DFSError(.invalidArgument, "copy_file_range with the flags \(flags)")
    }
    let from = try Range(offset: start, count: count)
    let to = try Range(offset: offset, count: count)
    let (source, target) = (try handles.file(source).file, try handles.file(target))
    target.hasChanged.store(true, ordering: .relaxed)
    let copied = try await target.file.copy(
      from: source, at: from.lowerBound, to: to.lowerBound,
      count: UInt64(count), progress: progress)
    return .written(Int(copied))
  }
}

extension SpoolFile.Sought {
  /// SEEK_DATA and SEEK_HOLE, which Swift does not import; the kernel does the others.
  fileprivate init?(whence: Int32) {
    switch whence {
    case 3: self = .data
    case 4: self = .hole
    default: return nil
    }
  }
}

extension Range<UInt64> {
  fileprivate init(offset: Int, count: Int) throws(DFSError) {
    guard offset >= 0, count >= 0 else {
      throw DFSError(.invalidArgument, "a range of \(count) bytes at \(offset)")
    }
    let (end, overflow) = UInt64(offset).addingReportingOverflow(UInt64(count))
    guard !overflow, end <= UInt64(Int64.max) else {
      throw DFSError(.fileTooLarge, "a range that ends beyond every file")
    }
    self = UInt64(offset)..<end
  }
}

/// Which files are mapped, as the process table tells.
enum Mappings {
  /// Whether any process has a shared mapping of a file.
  /// - Parameters:
  ///   - device: of the mount, `MAJOR:MINOR` as in /proc/self/mountinfo.
  ///   - trustsHidden: a process that may not be looked at has none.
  static func exist(of id: InodeID, device: String, trustsHidden: Bool) -> Bool {
    let numbers = device.split(separator: ":").compactMap { UInt32($0) }
    guard numbers.count == 2, let table = opendir("/proc") else { return true }
    defer { closedir(table) }
    let device = numbers.map { number in
      let text = String(number, radix: 16)
      return text.count < 2 ? "0" + text : text
    }.joined(separator: ":")
    while let entry = readdir(table) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let process = Int32(name) else { continue }
      if isMapped(id, device, by: process) ?? !trustsHidden { return true }
    }
    return false
  }

  /// - Returns: nil if it cannot be told.
  private static func isMapped(_ id: InodeID, _ device: String, by process: Int32) -> Bool? {
    guard let maps = fopen("/proc/\(process)/maps", "r") else {
      return errno == ENOENT ? false : nil
    }
    defer { fclose(maps) }
    var line: UnsafeMutablePointer<CChar>?
    var size = 0
    defer { free(line) }
    while getline(&line, &size, maps) > 0, let text = line {
      // ADDRESSES rwxs OFFSET DEVICE INODE PATH
      let words = String(cString: text).split(separator: " ", maxSplits: 5)
      if words.count >= 5, words[1].hasSuffix("s"), words[3] == device, words[4] == "\(id)" {
        return true
      }
    }
    return ferror(maps) == 0 ? false : nil
  }
}
