public import DFSCore

/// What a listener must not believe any more.
public enum Invalidation: Hashable, Sendable {
  /// Rows that another client wrote.
  case rows([RowKey])
  /// Anything may have changed (a connection was lost).
  case everything
}
