public import DFSCore

/// Reading one version to its end, whatever becomes of its file.
extension FileService {
  /// The copies of a version stay for as long as `work` reads them, though the file be replaced.
  public func holding<Value>(
    _ version: Version, _ work: () async throws -> Value
  ) async throws -> Value {
    await hold(version.id)
    do {
      let value = try await work()
      await release(version.id)
      return value
    } catch {
      await release(version.id)
      throw error
    }
  }
}
