internal import Foundation

/// The switch of a file layer that fails on demand (Tests/FailingFiles), which is loaded into an
/// unmodified program: calls on chosen files are answered with an error, while it runs, until the
/// fault is lifted.
public struct FailingFiles: Sendable {
  /// As in FailingFiles.h.
  public struct Operations: OptionSet, Sendable {
    public let rawValue: UInt32
    public static let read = Self(rawValue: 1)
    public static let write = Self(rawValue: 2)
    public static let sync = Self(rawValue: 4)

    public init(rawValue: UInt32) { self.rawValue = rawValue }
  }

  private static let bytes = 4096
  private static let patternsOffset = 24

  /// The file that the program maps.
  public let control: String

  public init(control: String) { self.control = control }

  /// What a program needs in its environment.
  public var environment: [String: String] {
    ["LD_PRELOAD": BuiltProgram.path("libFailingFiles.so"), "FAILING_FILES": control]
  }

  /// Makes the file; nothing fails. Before the program is started.
  public func prepare() throws {
    let manager = FileManager.default
    guard manager.fileExists(atPath: BuiltProgram.path("libFailingFiles.so")),
      manager.createFile(atPath: control, contents: Data(count: Self.bytes))
    else { throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: control]) }
  }

  /// From now on these operations on files whose path is like one of `patterns` (fnmatch, `*` also
  /// matches `/`) fail with `error` (of errno). The counts begin anew.
  public func fail(_ operations: Operations, _ error: Int32, _ patterns: [String]) throws {
    let text = Data(patterns.joined(separator: "\n").utf8)
    try change { file in
      try write(Data(count: Self.bytes), to: file, at: 0)
      try write(text, to: file, at: Self.patternsOffset)
      try write(Self.data(UInt32(bitPattern: error)), to: file, at: 4)
      try write(Self.data(operations.rawValue), to: file, at: 0)
    }
  }

  /// From now on these operations wait, as on a disk that does not answer, until the fault is lifted.
  public func hold(_ operations: Operations, _ patterns: [String]) throws {
    try fail(operations, 0, patterns)
  }

  /// Nothing fails any more; the counts stay.
  public func lift() throws {
    try change { try write(Self.data(UInt32(0)), to: $0, at: 0) }
  }

  /// Calls that were failed, or began to wait, since the fault began.
  public var struck: UInt64 { count(at: 8) }

  /// Syncs that were asked of a descriptor after one of it had failed.
  public var retried: UInt64 { count(at: 16) }

  private func change(_ body: (FileHandle) throws -> Void) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: control))
    try body(file)
    try file.close()
  }

  private func write(_ data: Data, to file: FileHandle, at offset: Int) throws {
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: data)
  }

  private func count(at offset: Int) -> UInt64 {
    let data = FileManager.default.contents(atPath: control) ?? Data()
    guard data.count >= offset + 8 else { return 0 }
    return data[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func data(_ number: UInt32) -> Data {
    withUnsafeBytes(of: number) { Data($0) }
  }
}
