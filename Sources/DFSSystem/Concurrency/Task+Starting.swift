internal import DFSCore

/// Tasks that begin where they are made.

extension Task where Failure == Never {
  /// A task that runs on this thread until it first suspends, which saves a change of threads; where
  /// the compiler cannot do that, like any other.
  @discardableResult
  public static func begun(_ body: @escaping @Sendable () async -> Success) -> Self {
    #if compiler(>=6.2)
      Task.immediate(operation: body)
    #else
      Task(operation: body)
    #endif
  }
}
