internal import DFSCore

/// Tasks that begin where they are made.

extension Task where Failure == Never {
  /// A task that runs on this thread until it first suspends, which saves a change of threads; where
  /// the compiler cannot do that, like any other.
  /// - Parameter executor: where it goes on then; nil: on any thread of the cooperative pool.
  @discardableResult
  public static func begun(
    thenOn executor: (any TaskExecutor)? = nil, _ body: @escaping @Sendable () async -> Success
  ) -> Self {
    #if compiler(>=6.2)
      Task.immediate(executorPreference: executor, operation: body)
    #else
      Task(executorPreference: executor, operation: body)
    #endif
  }
}
