/// A step that is done to its end though the task that waits for it be cancelled.
enum Uncancelled {
  static func run<Result: Sendable>(
    _ step: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    try await Task { try await step() }.value
  }

  static func run(_ step: @escaping @Sendable () async -> Void) async {
    await Task { await step() }.value
  }
}
