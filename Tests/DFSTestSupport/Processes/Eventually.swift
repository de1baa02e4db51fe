/// Waiting for a condition, with a deadline; never a pause for luck.

public struct NeverHappened: Error, CustomStringConvertible {
  public let description: String
}

/// Asks `condition` again and again until it holds.
/// - Throws: `NeverHappened` after `limit`, naming what was waited for.
public func eventually(
  _ what: String, within limit: Duration = .seconds(10),
  _ condition: () async throws -> Bool
) async throws {
  let clock = ContinuousClock()
  let deadline = clock.now + limit
  while try await !condition() {
    guard clock.now < deadline else {
      throw NeverHappened(description: "\(what): not within \(limit)")
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}
