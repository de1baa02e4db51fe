public import DFSCore

/// Reading one version to its end, whatever becomes of its file.
extension FileService {
  /// The copies of a version stay for as long as `work` reads them, though the file be replaced.
  public func pinning<Value>(
    _ version: Version, _ work: () async throws -> Value
  ) async throws -> Value {
    pin(version)
    defer { unpin(version) }
    await untilPinned()
    return try await work()
  }
}
