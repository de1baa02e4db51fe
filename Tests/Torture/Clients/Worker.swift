import Foundation
import Glibc

/// A process of its own that performs one operation after the other on a mount: a call that waits
/// holds nobody else, and nobody's fork closes its descriptors.
///
/// Every operation opens the directory first and works relative to it, so that it never touches what
/// is below the mountpoint while nothing is mounted there.
struct Worker {
  private let mount: String
  var answer = WorkerAnswer()
  private static let pieceBytes = 1 << 17

  private init(mount: String) { self.mount = mount }

  /// Reads commands until there are no more.
  static func run(mount: String) {
    let (decoder, encoder) = (JSONDecoder(), JSONEncoder())
    while let line = readLine() {
      guard let command = try? decoder.decode(WorkerCommand.self, from: Data(line.utf8)) else {
        exit(64)
      }
      var worker = Worker(mount: mount)
      worker.perform(command)
      guard var bytes = try? encoder.encode(worker.answer) else { exit(70) }
      bytes.append(UInt8(ascii: "\n"))
      FileHandle.standardOutput.write(bytes)
    }
  }

  // MARK: Calls

  /// Makes a system call and notes how long it took.
  @discardableResult
  mutating func call(_ name: String, _ body: () -> Int) -> Int? {
    let begin = Clock.now
    let result = body()
    let error = result < 0 ? errno : 0
    answer.calls.append(WorkerAnswer.Call(name: name, begin: begin, end: Clock.now, error: error))
    return result < 0 ? nil : result
  }

  private mutating func perform(_ command: WorkerCommand) {
    let path = mount + "/" + command.directory
    guard let found = call("directory", { Int(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) })
    else { return }
    let directory = Int32(found)
    defer { close(directory) }
    switch command.action {
    case .write: write(command, in: directory, O_TRUNC)
    case .create: write(command, in: directory, O_CREAT | O_EXCL)
    case .save: save(command, in: directory)
    case .append: append(command, in: directory)
    case .patch: patch(command, in: directory)
    case .read: read(command, in: directory)
    case .stat: status(command.name, in: directory)
    case .remove: call("remove") { Int(unlinkat(directory, command.name, 0)) }
    case .removeDirectory: call("remove") { Int(unlinkat(directory, command.name, AT_REMOVEDIR)) }
    case .makeDirectory: call("create") { Int(mkdirat(directory, command.name, 0o755)) }
    case .move: call("move") { Int(renameat(directory, command.name, directory, command.newName)) }
    case .list: list(directory)
    }
  }

  // MARK: Writing

  @discardableResult
  private mutating func write(_ command: WorkerCommand, in directory: Int32, _ flags: Int32) -> Bool
  {
    let bytes = Content.bytes(command.number, size: command.size)
    let opened = call(flags & O_CREAT != 0 ? "create" : "open") {
      Int(openat(directory, command.name, O_WRONLY | O_CLOEXEC | flags, 0o644))
    }
    guard let opened else { return false }
    let file = Int32(opened)
    pause(command)
    var isWritten = true
    for start in stride(from: 0, to: bytes.count, by: Self.pieceBytes) where isWritten {
      let piece = bytes[start..<min(start + Self.pieceBytes, bytes.count)]
      let count = call("write") {
        piece.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      }
      isWritten = count == piece.count
    }
    if command.isDurable { call("fsync") { Int(fsync(file)) } }
    return call("close") { Int(close(file)) } != nil && isWritten
  }

  private mutating func save(_ command: WorkerCommand, in directory: Int32) {
    var temporary = command
    temporary.name = ".new-\(command.number)"
    guard write(temporary, in: directory, O_CREAT | O_EXCL) else {
      _ = unlinkat(directory, temporary.name, 0)
      return
    }
    let moved = call("replace") {
      Int(renameat(directory, temporary.name, directory, command.name))
    }
    if moved == nil { _ = unlinkat(directory, temporary.name, 0) }
  }

  private mutating func append(_ command: WorkerCommand, in directory: Int32) {
    let opened = call("open") {
      Int(openat(directory, command.name, O_RDWR | O_APPEND | O_CLOEXEC))
    }
    guard let opened else { return }
    let file = Int32(opened)
    pause(command)
    let record = Content.record(command.number, size: command.size)
    let count = call("write") {
      record.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    }
    if count != nil, count != record.count { answer.wrong = "a write that was cut short" }
    lseek(file, 0, SEEK_SET)
    if let bytes = content(of: file, command) {
      find(bytes)
      (answer.md5, answer.size) = (Content.md5(of: bytes), bytes.count)
    }
    if command.isDurable { call("fsync") { Int(fsync(file)) } }
    call("close") { Int(close(file)) }
  }

  func pause(_ command: WorkerCommand) {
    if command.pauseMilliseconds > 0 { usleep(useconds_t(command.pauseMilliseconds) * 1000) }
  }

  // MARK: Reading

  private mutating func read(_ command: WorkerCommand, in directory: Int32) {
    let opened = call("open") { Int(openat(directory, command.name, O_RDONLY | O_CLOEXEC)) }
    guard let opened else { return }
    let file = Int32(opened)
    pause(command)
    let bytes = content(of: file, command)
    call("close") { Int(close(file)) }
    if let bytes { find(bytes) }
  }

  /// From where the descriptor is; it is waited after each piece, too.
  mutating func content(of file: Int32, _ command: WorkerCommand) -> [UInt8]? {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
    var isAtEnd = false
    while !isAtEnd {
      let count = call("read") {
        piece.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      }
      guard let count else { return nil }
      bytes += piece[..<count]
      isAtEnd = count == 0
      if count == piece.count { pause(command) }
    }
    return bytes
  }

  mutating func find(_ bytes: [UInt8]) {
    switch Content.finding(in: bytes) {
    case .empty: answer.content = 0
    case .whole(let number): answer.content = number
    case .appended(let chain), .patched(let chain):
      (answer.content, answer.chain) = (chain.last, chain)
    case .wrong(let what): answer.wrong = what
    }
  }

  private mutating func status(_ name: String, in directory: Int32) {
    var found = stat()
    if call("stat", { Int(fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW)) }) != nil {
      answer.size = Int(found.st_size)
    }
  }

  private mutating func list(_ directory: Int32) {
    let copy = call("list") { Int(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) }
    guard let copy, let stream = fdopendir(Int32(copy)) else { return }
    defer { closedir(stream) }
    var names: [String] = []
    var isWhole = false
    call("readdir") {
      errno = 0
      while let entry = readdir(stream) {
        names.append(Self.name(of: entry))
        errno = 0
      }
      isWhole = errno == 0
      return isWhole ? names.count : -1
    }
    if isWhole { answer.names = names }
  }

  private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
    let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
    return String(
      cString: UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self))
  }
}
